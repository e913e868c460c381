"""Data sets: each file turns one layout on disk into cases. `open_cases` finds out which layout a folder has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cascade.errors import InputError
from cascade.training.case import Case
from cascade.training.datasets import labelled, scans, simulated, slices, stored


class Layout(Protocol):
    """What a data set's file offers."""

    def fits(self, folder: Path) -> bool:
        """Whether the folder has this layout."""
        ...

    def cases(self, folder: Path) -> Iterator[Case]:
        """Its cases, one at a time."""
        ...


LAYOUTS: dict[str, Layout] = {
    "stored": stored,
    "simulated": simulated,
    "slices": slices,
    "labelled": labelled,
    "scans": scans,
}


def open_cases(folder: Path, layout: str | None = None) -> Iterator[Case]:
    """The cases of a folder, one at a time.

    A folder of `*.case` files, a set that `cascade simulate` wrote, a labelled study or a folder of them (`ct/` with
    `embolus.nii.gz`), single slices with `labels.csv`, or a folder of unlabelled DICOM scans, which are taken to show
    no embolism.

    Args:
        folder: Of the set.
        layout: A name of `LAYOUTS`; found by looking by default.

    Raises:
        InputError: The folder has none of these layouts.
    """
    if layout is not None:
        return LAYOUTS[layout].cases(folder)
    for one in LAYOUTS.values():
        if one.fits(folder):
            return one.cases(folder)
    raise InputError(
        "E_NO_DATASET",
        f"{folder.name!r} is no data set this version reads; expected *.case files, index.csv of simulated studies, "
        "studies with ct/ and embolus.nii.gz, or folders of DICOM files",
    )
