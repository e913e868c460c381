"""`lung_bbox.csv`: boxes around both lungs on four slices of each RSNA-STR exam.

    train/<Study>/<Series>/<SOP>.dcm    train.csv    lung_bbox.csv    columns Image, Xmin, Ymin, Xmax, Ymax

Source: first place of RSNA-STR 2020, github GuanshuoXu/RSNA-STR-Pulmonary-Embolism-Detection, MIT; 29,116 boxes, four
of each of 7,279 series. The slices are RSNA's, under its terms (`rsna.py`).

Labels: drawn by hand, one box for both lungs, in fractions of the picture. `Image` is the SOPInstanceUID; `train.csv`
tells its study. The detector learns a box a lung: how one becomes two is told in `lung_boxes.py`.

Known faults: fractions run to 1.0019 and are cut to the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cascade.core.errors import InputError
from cascade.datasets.entry import Entry
from cascade.datasets.layouts.rsna import IDS
from cascade.datasets.lung_boxes import Drawn, slice_case
from cascade.datasets.pictures import PictureOptions
from cascade.datasets.table import number, rows

TABLE = "lung_bbox.csv"
COLUMNS = ("Xmin", "Ymin", "Xmax", "Ymax")


@dataclass(frozen=True)
class Options:
    """What to do with boxes whose slices are not there.

    Attributes:
        missing: "refuse" them, or "skip" them where only a part of the set was fetched.
    """

    missing: Literal["refuse", "skip"] = "refuse"


def fits(folder: Path) -> bool:
    """Whether the boxes and RSNA's table are there."""
    return (folder / TABLE).is_file() and (folder / "train.csv").is_file()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the boxes."""
    boxes = {}
    for row in rows(folder / TABLE, ("Image", *COLUMNS)):
        x0, y0, x1, y1 = (number(row[name], TABLE) for name in COLUMNS)
        boxes[row["Image"]] = Drawn("lungs", x0, y0, x1, y1)
    places = {
        row[IDS[2]]: (row[IDS[0]], row[IDS[1]]) for row in rows(folder / "train.csv", IDS) if row[IDS[2]] in boxes
    }
    for sop, box in boxes.items():
        if sop not in places:
            text = f"{TABLE} names the slice {sop}, which train.csv doesn't"
            raise InputError("E_TABLE", f"{text}; both must be of RSNA's training set")
        study, series = places[sop]
        path = folder / "train" / study / series / f"{sop}.dcm"
        if options.missing == "refuse" or path.is_file():
            opener = partial(slice_case, path, study, (box,), PictureOptions())
            yield Entry(sop, study, (path, folder / TABLE), opener)
