"""Unlabelled real scans: a folder of DICOM files, or a folder of such folders.

They are taken to show no embolism: an empty target is a working assumption, for whoever chooses the scans to check.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cascade.findings import Exam, Field, Findings
from cascade.geometry import Box
from cascade.reading import read
from cascade.training.case import Case
from cascade.training.datasets.labelled import lungs


def fits(folder: Path) -> bool:
    """Whether the folder holds DICOM files, or folders that do."""
    return bool(_scans(folder))


def cases(folder: Path) -> Iterator[Case]:
    """In the order of their names."""
    for path in _scans(folder):
        study = read(path)
        z, y, x = study.grid.shape
        empty = Field(np.zeros(study.grid.shape, dtype=np.uint8), Box(0, z, 0, y, 0, x))
        known = Findings(study.grid, lungs=lungs(study), embolus=empty, exam=Exam("negative"))
        yield Case(path.name, path.name, "real", study, known)


def _scans(folder: Path) -> list[Path]:
    found = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    return [p for p in found if any(p.glob("*.dcm"))]
