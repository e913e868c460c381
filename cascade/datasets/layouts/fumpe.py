"""FUMPE as published: 35 patients, DICOM slices and a radiologist's masks in MATLAB files.

    CT_scans/PAT001/D0001.dcm ...    GroundTruth/PAT001.mat    key `Mask` [row, column, slice], 0 or 1

Source: Masoudi et al., Scientific Data 5:180180 (2018), doi 10.1038/sdata.2018.180; figshare collection 4107803, also
on Kaggle; CC BY 4.0. About 8,800 slices.

Labels: one radiologist drew, one approved; a clot is a connected component. The edges are noisy, some distal clots are
missing, and the mask of at least one patient is empty: figures say whose masks they were measured against.

Known faults: the mask's slices follow the numbers in the file names, which in some patients run downward; the folder
is called `CT_scans 01` in some copies; study and series UIDs are "0". Copies with `PAT001.nii.gz` for a mask are read
by their header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.study import Study
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import Numbers, known_by_mask, mask_on
from cascade.reading import read
from cascade.reading.files import files_in
from cascade.reading.headers import Header, read_headers

ENDINGS = (".mat", ".nii.gz", ".nii")


@dataclass(frozen=True)
class Options:
    """How a set of this kind names things.

    Attributes:
        ct: Pattern of the folder that holds a folder of slices a patient.
        truth: Folder of the masks.
        key: Of the mask in a .mat file.
    """

    ct: str = "CT_scan*"
    truth: str = "GroundTruth"
    key: str = "Mask"


def fits(folder: Path) -> bool:
    """Whether there are masks and slices where FUMPE has them."""
    usual = Options()
    return bool(_masks(folder, usual)) and bool(_scans(folder, usual))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """In the order of the patients; a patient with a mask alone, or without one, will not open."""
    masks, scans = _masks(folder, options), _scans(folder, options)
    for patient in sorted({*masks, *scans}):
        ct = scans.get(patient, folder / options.ct.replace("*", "s") / patient)
        mask = masks.get(patient, folder / options.truth / f"{patient}.mat")
        yield Entry(patient, patient, (ct, mask), partial(_open, patient, ct, mask, options.key))


def _open(patient: str, ct: Path, mask: Path, key: str) -> Case:
    if not ct.is_dir():
        raise InputError("E_SCAN_MISSING", f"the mask {mask.name} has no slices; put them there, or take it away")
    study = read(ct)
    numbers = mask_on(study, mask) if mask.suffix != ".mat" or not mask.is_file() else _in_place(study, ct, mask, key)
    return Case(patient, patient, "labelled", study, known_by_mask(study, numbers))


def _in_place(study: Study, ct: Path, mask: Path, key: str) -> Numbers:
    """The planes of a .mat mask on the study's grid: paired by the files' numbers, placed by the files' positions."""
    planes = _planes(mask, key)
    rows, columns = study.grid.source_shape[1:]
    if planes.shape[1:] != (rows, columns):
        text = f"{mask.name} has slices of {planes.shape[1]} x {planes.shape[2]}, the scan of {rows} x {columns}"
        raise InputError("E_MASK_GRID", f"{text}; they belong to different patients, or one was resampled")
    source = np.zeros(study.grid.source_shape, dtype=np.uint8)
    to_index = np.linalg.inv(study.grid.source_affine)
    filled = np.zeros(len(source), dtype=bool)
    for ordinal, path in enumerate(files_in(ct), 1):
        number, header = _number(path), read_headers(path, ordinal)
        if number is None or not isinstance(header, list) or not header or header[0].position is None:
            continue
        if not 1 <= number <= len(planes):
            text = f"{path.name} has no slice in {mask.name}, which has {len(planes)}"
            raise InputError("E_MASK_GRID", f"{text}; names count from D0001: copy the set as it was published")
        k = _place(to_index, header[0])
        if 0 <= k < len(source):
            source[k] = planes[number - 1] > 0
            filled[k] = True
    if not filled.all():
        text = f"{int((~filled).sum())} slices of the scan have no number in their names by which {mask.name} is paired"
        raise InputError("E_MASK_GRID", f"{text}; name them D0001.dcm, D0002.dcm ... as published")
    return study.grid.to_grid(source)


def _place(to_index: NDArray[np.floating[Any]], header: Header) -> int:
    """Index of a file's slice among the study's, in the order of the source."""
    return round(float((to_index @ (*(header.position or ()), 1.0))[0]))


def _planes(path: Path, key: str) -> NDArray[Any]:
    """A variable of a MATLAB file as `[slice, row, column]`."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=[key])
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        text = f"the mask {path.name} cannot be read ({type(error).__name__})"
        raise InputError("E_UNREADABLE", f"{text}; copy it again, as MATLAB 5 .mat") from error
    if key not in content or content[key].ndim != 3 or content[key].dtype.kind not in "uifb":
        raise InputError("E_NOT_LABELS", f"{path.name} has no three-axis array {key!r}; name its key under options")
    return np.asarray(content[key]).transpose(2, 0, 1)


def _number(path: Path) -> int | None:
    found = re.search(r"(\d+)$", path.stem)
    return int(found[1]) if found else None


def _masks(folder: Path, options: Options) -> dict[str, Path]:
    found = sorted((folder / options.truth).glob("*"))
    return {p.name[: -len(e)]: p for p in found for e in ENDINGS if p.name.endswith(e)}


def _scans(folder: Path, options: Options) -> dict[str, Path]:
    return {p.name: p for p in sorted(folder.glob(f"{options.ct}/*")) if p.is_dir()}
