"""Boxes of lungs in a table: `boxes.csv` beside DICOM slices or pictures.

    boxes.csv    columns file, label, x0, y0, x1, y1 and, if known, patient

Source: a layout, not a set; what annotation tools export comes down to it.

Labels: one row a box in pixels of the stored picture (half-open edges), `label` is right, left, lung (either side, told
by place) or lungs (one box around both). A row without numbers says that its slice shows no lung. The patient is the
text before the file name's last `_` where no column says it.

Known faults: pictures without HU or spacing are taken as `pictures.py` tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.lung_boxes import Drawn, Which, slice_case
from cascade.datasets.pictures import ENDINGS, PictureOptions, patient_of
from cascade.datasets.table import number, rows

TABLE = "boxes.csv"
EDGES = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Options(PictureOptions):
    """What the pictures don't say of themselves: their spacing and window."""


def fits(folder: Path) -> bool:
    """Whether the folder holds the table of boxes."""
    return (folder / TABLE).is_file()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """One a file, in the order of the table."""
    drawn: dict[str, list[tuple[str, tuple[float, ...]]]] = {}
    patients: dict[str, str] = {}
    for row in rows(folder / TABLE, ("file", "label", *EDGES)):
        file = row["file"]
        patients[file] = row.get("patient") or patient_of(Path(file).stem)
        here = drawn.setdefault(file, [])
        if any(row[name] for name in EDGES):
            if row["label"] not in get_args(Which):
                text = f"{TABLE} has the label {row['label']!r}; the detector learns lungs"
                raise InputError("E_TABLE", f"{text}: give right, left, lung or lungs")
            here.append((row["label"], tuple(number(row[name], TABLE) for name in EDGES)))
    for file, some in drawn.items():
        path, patient = folder / file, patients[file]
        yield Entry(path.stem, patient, (path, folder / TABLE), partial(_open, path, patient, some, options))


def _open(path: Path, patient: str, boxes: list[tuple[str, tuple[float, ...]]], options: Options) -> Case:
    rows_, columns = size_of(path)
    some = [
        Drawn(cast(Which, label), x0 / columns, y0 / rows_, x1 / columns, y1 / rows_)
        for label, (x0, y0, x1, y1) in boxes
    ]
    return slice_case(path, patient, some, options)


def size_of(path: Path) -> tuple[int, int]:
    """Rows and columns of a picture or a DICOM slice as it is stored.

    Raises:
        InputError: E_UNREADABLE.
    """
    from cascade.reading.headers import read_headers
    from cascade.reading.images import decode

    if path.suffix.lower() in ENDINGS:
        shape: tuple[Any, ...] = decode(path).shape
        return shape[0], shape[1]
    headers = read_headers(path, 1) if path.is_file() else []
    if not isinstance(headers, list) or not headers:
        raise InputError("E_UNREADABLE", f"{path.name} is missing or no DICOM slice; put it there")
    return headers[0].rows, headers[0].columns
