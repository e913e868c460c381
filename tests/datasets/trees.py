"""Small data sets on disk, each in its published layout, made of one chest with two clots."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pydicom
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.datasets.case import Case
from cascade.datasets.layouts.rsna import IDS, SCORED, SLICE
from cascade.writing import write_dicom
from tests.strategies import Clot, chest

CLOTS: tuple[Clot, ...] = ((0.0, 4.0, -45.0, 8.0), (-40.0, -3.0, 2.0, 7.0))
"""In the right artery, and low in the middle: no flip brings them onto themselves."""

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@cache
def patient(clots: tuple[Clot, ...] = CLOTS, seed: int = 0) -> tuple[Study, Findings]:
    """A chest of 80 slices of 66 x 84 voxels, and its truth."""
    return chest(clots, spacing=(3.0, 4.0, 4.0), seed=seed)


def centre_mm(case: Case | Findings) -> NDArray[np.float64]:
    """Middle of the embolus in the patient, LPS mm."""
    truth = case.truth if isinstance(case, Case) else case
    return truth.grid.to_mm(np.argwhere(truth.mask())).mean(axis=0)


def assert_in_place(case: Case, truth: Findings, within_mm: float = 0.1) -> None:
    """The embolus lies where it lies in the patient, is as large, and covers the voxels of its HU."""
    assert np.abs(centre_mm(case) - centre_mm(truth)).max() < within_mm
    assert case.truth.mask().sum() == truth.mask().sum()
    assert abs(float(case.study.hu[case.truth.mask()].mean()) - 60) < 5


def table(path: Path, head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *lines])


def nifti(path: Path, array: NDArray[Any], grid: Grid, flips: Sequence[int] = ()) -> None:
    """A volume `[z, y, x]` of an upright grid, with the axes that are named running backwards in the file."""
    stored, affine = array, np.array(grid.affine)
    for axis in flips:
        stored = np.flip(stored, axis)
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    ras = RAS_TO_LPS @ affine @ np.eye(4)[[2, 1, 0, 3]]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stored.T), ras), path)


def nrrd_file(path: Path, array: NDArray[Any], grid: Grid, flips: Sequence[int] = ()) -> None:
    """The same as NRRD in LPS."""
    stored, affine = array, np.array(grid.affine)
    for axis in flips:
        stored = np.flip(stored, axis)
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {
        "space": "left-posterior-superior",
        "space directions": affine[:3, [2, 1, 0]].T,
        "space origin": affine[:3, 3],
    }
    nrrd.write(str(path), np.ascontiguousarray(stored.T), header)


def dicom(folder: Path, study: Study, names: Mapping[int, str] | None = None) -> list[str]:
    """Slices under the names given by index, feet to head; returns their SOP instances in that order."""
    sops = []
    for z, path in enumerate(write_dicom(study, folder)):
        slice_ = pydicom.dcmread(path)
        sops.append(str(slice_.SOPInstanceUID))
        if names is not None:
            path.rename(folder / names[z])
    return sops


def nnunet(folder: Path, cases: Mapping[str, tuple[Study, Findings]], labels: object = None) -> Path:
    """nnU-Net's layout."""
    for name, (study, truth) in cases.items():
        nifti(folder / "imagesTr" / f"{name}_0000.nii.gz", study.hu, study.grid)
        nifti(folder / "labelsTr" / f"{name}.nii.gz", truth.mask().astype(np.uint8), study.grid)
    described = {"channel_names": {"0": "CT"}, "labels": labels or {"background": 0, "embolus": 1}}
    (folder / "dataset.json").write_text(json.dumps({**described, "file_ending": ".nii.gz"}))
    return folder


def rsna_table(path: Path, study: str, series: str, slices: dict[str, int], **labels: int) -> None:
    known = {**dict.fromkeys(SCORED, 0), **labels}
    extra = {"qa_motion": 0, **known}  # columns in another order than published
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow((*extra, *IDS, SLICE))
        writer.writerows((*extra.values(), study, series, sop, present) for sop, present in slices.items())


def rsna(folder: Path, name: str, **labels: int) -> list[str]:
    """An exam under random file names; its slices, feet to head."""
    study, truth = patient() if labels.get("negative_exam_for_pe", 0) == 0 else patient(clots=())
    path = folder / "train" / name / "ab12"
    sops = dicom(path, study)
    for file, sop in zip(sorted(path.iterdir()), sops, strict=True):
        file.rename(path / f"{sop[::-1]}.dcm")
    shows = truth.mask().any(axis=(1, 2)) & (labels.get("indeterminate", 0) == 0)
    rsna_table(folder / "train.csv", name, "ab12", dict(zip(sops, shows.astype(int).tolist(), strict=True)), **labels)
    return sops
