"""Real studies with a reader's mask: a folder with `ct/*.dcm` and `embolus.nii.gz`, or a folder of such folders.

The mask lies on the grid of the slices (NIfTI, RAS affine). One that is empty says that there is no embolism. Where
the arteries are is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import known_by_mask, mask_on
from cascade.reading import read

MASK = "embolus.nii.gz"


@dataclass(frozen=True)
class Options:
    """This layout has no options."""


def fits(folder: Path) -> bool:
    """Whether the folder is such a study, or holds some."""
    return bool(_studies(folder))


def is_study(path: Path) -> bool:
    """Whether the path is one such study."""
    return (path / "ct").is_dir() and (path / MASK).is_file()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of their names."""
    for path in _studies(folder):
        yield Entry(path.name, path.name, (path / "ct", path / MASK), partial(_open, path))


def opened(path: Path) -> tuple[Study, Findings]:
    """The study in such a folder, and what its mask says.

    Raises:
        InputError: E_MASK_GRID, or what reading raises.
    """
    study = read(path / "ct")
    return study, known_by_mask(study, mask_on(study, path / MASK))


def _open(path: Path) -> Case:
    return Case(path.name, path.name, "labelled", *opened(path))


def _studies(folder: Path) -> list[Path]:
    found = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    return [p for p in found if is_study(p)]
