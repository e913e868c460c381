"""Single labelled slices: DICOM files of many studies in one folder, with `labels.csv`.

Columns `file`, `label` (`lung`, `no_lung`, anything else is left out) and `patient` or `patient_id`. Each file is a
study of one slice. Labels are a reader's: lung is at least about 5 cm2 of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cascade.core.errors import InputError
from cascade.core.findings import Findings, Slices
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.table import rows
from cascade.reading import read

LABELS = {"lung": 1.0, "no_lung": 0.0}


@dataclass(frozen=True)
class Options:
    """This layout has no options."""


def fits(folder: Path) -> bool:
    """Whether the folder has a table of labels."""
    return (folder / "labels.csv").is_file()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the table."""
    for row in rows(folder / "labels.csv", ("file", "label")):
        patient = row.get("patient") or row.get("patient_id")
        if not patient:
            raise InputError(
                "E_COLUMNS", "labels.csv names no patient; add a column patient: they are split, not slices"
            )
        if row["label"] in LABELS:
            path = folder / row["file"]
            yield Entry(
                path.stem, patient, (path, folder / "labels.csv"), partial(_open, path, patient, LABELS[row["label"]])
            )


def _open(path: Path, patient: str, label: float) -> Case:
    study = read(path, minimum_slices=1)
    lung = np.full(study.grid.shape[0], label, dtype=np.float32)
    truth = Findings(study.grid, slices=replace(Slices.unknown(len(lung)), lung=lung))
    return Case(path.stem, patient, "labelled", study, truth)
