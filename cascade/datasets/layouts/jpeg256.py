"""RSNA JPEG-256: the RSNA-STR set as small pictures of three windows, and sets that `cascade-train images` wrote.

    train-jpegs/<StudyInstanceUID>/<SeriesInstanceUID>/0000_<SOPInstanceUID>.jpg    train.csv    [spacing.csv]

Source: Ian Pan, Kaggle data set vaillant/rsna-str-pe-detection-jpeg-256, CC BY-NC-SA 4.0; made of RSNA's set, whose
`train.csv` and terms go with it (`rsna.py`). 7,279 exams, about 1.8 million pictures.

Labels: as in `rsna.py`. Of `train.csv` the ids, the slices' label and the two columns `negative_exam_for_pe` and
`indeterminate` are needed; a slice's label may be empty, which means unknown.

Known faults: spacing, thickness and HU over 450 are lost, so that the slice classifiers learn from it and no stage that
measures; series that failed were left out without a word; the number in the name has four digits or three, and counts
from the feet. HU come back within 4 to 6 (median) in soft tissue and 7 to 11 in lung, 95 % of all within 50 to 90, the
worst beside edges: measured on three scans at 256 pixels. PNG comes back within 3. `spacing.csv` beside it (columns
StudyInstanceUID, SeriesInstanceUID, pixel_mm, slice_mm), which our own writer adds, gives back the distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.layouts.rsna import IDS, INDETERMINATE, NEGATIVE, Rows, exams, known_by_rows
from cascade.datasets.masks import lungs_alone
from cascade.datasets.pictures import PictureOptions, files, picture_study
from cascade.datasets.table import rows

IMAGES = "train-jpegs"
SPACING = "spacing.csv"
SPACING_COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", "pixel_mm", "slice_mm")


@dataclass(frozen=True)
class Options:
    """What to do with exams of the table that have no pictures.

    Attributes:
        missing: "skip" them, as the published set left out some, or "refuse" them.
    """

    missing: Literal["refuse", "skip"] = "skip"


def fits(folder: Path) -> bool:
    """Whether the table and the folder of pictures are there."""
    return (folder / "train.csv").is_file() and (folder / IMAGES).is_dir()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the table."""
    tables = [path for path in (folder / "train.csv", folder / SPACING) if path.is_file()]
    known = _spacings(folder / SPACING)
    patients = _patients(folder / "train.csv")
    for study, told in exams(folder / "train.csv", (NEGATIVE, INDETERMINATE), unknown=True).items():
        path = folder / IMAGES / study / told.series
        if options.missing == "refuse" or path.is_dir():
            spacing = known.get((study, told.series), PictureOptions())
            patient = patients.get(study, study)
            yield Entry(study, patient, (path, *tables), partial(_open, study, patient, path, told, spacing))


def _open(name: str, patient: str, path: Path, told: Rows, spacing: PictureOptions) -> Case:
    pictures = {}
    for stem, picture in files(path).items():
        number, _, sop = stem.partition("_")
        if not number.isdigit() or sop not in told.slices:
            raise InputError("E_TABLE", f"{picture.name} is no NUMBER_SOPInstanceUID of train.csv; fetch the set again")
        pictures[int(number)] = (sop, picture)
    if not pictures:
        raise InputError("E_SCAN_MISSING", "the table names an exam without pictures; fetch them, or skip such exams")
    ordered = [pictures[number] for number in sorted(pictures)]
    study = picture_study([picture for _, picture in ordered], spacing)
    study = replace(study, source=tuple(sop for sop, _ in ordered))
    present = np.array([told.slices[sop] for sop in study.source], dtype=np.float32)
    truth = known_by_rows(lungs_alone(study), told.labels, present)
    return Case(name, patient, "labelled", study, truth)


def _spacings(path: Path) -> Mapping[tuple[str, str], PictureOptions]:
    if not path.is_file():
        return {}
    return {
        (row[IDS[0]], row[IDS[1]]): PictureOptions(None, float(row["pixel_mm"]), float(row["slice_mm"]))
        for row in rows(path, SPACING_COLUMNS)
    }


def _patients(path: Path) -> Mapping[str, str]:
    """Patients by study, where the table has a column `patient`; RSNA's names none."""
    return {row[IDS[0]]: row["patient"] for row in rows(path, IDS) if row.get("patient")}
