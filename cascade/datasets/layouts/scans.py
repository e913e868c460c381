"""Unlabelled real scans: a folder of DICOM files, or a folder of such folders.

Nobody says whether they show an embolism, so it is unknown. Whoever chose scans without any may say so with the option
`assume_negative`: then all of them are taken to be free of embolism, voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cascade.core.findings import Exam
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import lungs_alone, no_embolus
from cascade.reading import read


@dataclass(frozen=True)
class Options:
    """What a plain scan does not say.

    Attributes:
        assume_negative: None of the scans shows an embolism.
    """

    assume_negative: bool = False


def fits(folder: Path) -> bool:
    """Whether the folder holds DICOM files, or folders that do."""
    return bool(_scans(folder))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of their names."""
    for path in _scans(folder):
        yield Entry(path.name, path.name, (path,), partial(_open, path, options.assume_negative))


def _open(path: Path, assume_negative: bool) -> Case:
    study = read(path)
    known = lungs_alone(study)
    if assume_negative:
        known = replace(known, embolus=no_embolus(study.grid), exam=Exam("negative", reason="assumed"))
    return Case(path.name, path.name, "real", study, known)


def _scans(folder: Path) -> list[Path]:
    found = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    return [p for p in found if any(p.glob("*.dcm"))]
