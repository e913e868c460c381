"""READ: 40 CT angiograms from two scanners with masks of the clots.

    images/GE (DICOM files)/01GE/*    images/TOSHIBA (DICOM files)/01TS/*    rs/01GE.nii.gz

Source: Scientific Data 10:518 (2023); CC0.

Labels: one mask a patient, drawn by radiologists.

Known faults: image and mask agree index for index, slices from the feet up, but the mask's header runs the other way
along z and rounds the spacing. A reader that goes by that header puts every clot upside down: here arrays are matched
by index, and the place comes from DICOM alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import known_by_mask
from cascade.reading import read
from cascade.reading.labels import read_labels

ENDING = ".nii.gz"


@dataclass(frozen=True)
class Options:
    """This layout has no options."""


def fits(folder: Path) -> bool:
    """Whether there are folders of scans by scanner, and masks."""
    return bool(_scans(folder)) and any((folder / "rs").glob(f"*{ENDING}"))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """In the order of the patients; a scan or a mask without its partner will not open."""
    scans = _scans(folder)
    masks = {path.name.removesuffix(ENDING): path for path in sorted((folder / "rs").glob(f"*{ENDING}"))}
    for patient in sorted({*scans, *masks}):
        ct = scans.get(patient, folder / "images" / patient)
        mask = masks.get(patient, folder / "rs" / f"{patient}{ENDING}")
        yield Entry(patient, patient, (ct, mask), partial(_open, patient, ct, mask))


def _open(patient: str, ct: Path, mask: Path) -> Case:
    for path, what in ((ct, "E_SCAN_MISSING"), (mask, "E_MASK_MISSING")):
        if not path.exists():
            raise InputError(what, f"{path.name} is missing; put it there, or take its partner away")
    study = read(ct)
    labels, grid = read_labels(mask)
    stored = grid.to_source(labels)
    if stored.shape != study.grid.source_shape:
        text = f"the mask {mask.name} has {stored.shape} voxels, its scan {study.grid.source_shape}"
        raise InputError("E_MASK_GRID", f"{text}; arrays are matched by index: copy both as published")
    return Case(patient, patient, "labelled", study, known_by_mask(study, study.grid.to_grid(stored)))


def _scans(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.glob("images/*DICOM*/*")) if path.is_dir()}
