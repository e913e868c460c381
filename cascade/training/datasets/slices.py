"""Single labelled slices: DICOM files of many studies in one folder, with `labels.csv`.

Columns `file`, `label` (`lung`, `no_lung`, anything else is left out) and `patient` or `patient_id`. Each file is a
study of one slice. Labels are a reader's: lung is at least about 5 cm2 of it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cascade.findings import Findings, Slices
from cascade.reading import read
from cascade.training.case import Case

LABELS = {"lung": 1.0, "no_lung": 0.0}


def fits(folder: Path) -> bool:
    """Whether the folder has a table of labels."""
    return (folder / "labels.csv").is_file()


def cases(folder: Path) -> Iterator[Case]:
    """In the order of the table."""
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["label"] not in LABELS:
                continue
            study = read(folder / row["file"], minimum_slices=1)
            lung = np.full(study.grid.shape[0], LABELS[row["label"]], dtype=np.float32)
            truth = Findings(study.grid, slices=replace(Slices.unknown(len(lung)), lung=lung))
            patient = row.get("patient") or row["patient_id"]
            yield Case(Path(row["file"]).stem, patient, "labelled", study, truth)
