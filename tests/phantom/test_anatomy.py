from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cascade.phantom import Anatomy, PhantomError, load


def _map() -> np.ndarray:
    labels = np.zeros((20, 16, 12), np.uint8)  # x, y, z
    labels[2:8, 4:12, 2:10] = 3
    labels[12:18, 4:12, 2:10] = 3
    labels[4:6, 6:9, 5:8] = 1
    labels[14:16, 8:11, 5:8] = 2
    return labels


CHEST = np.diag([-8.0, -9.0, 10.0, 1.0])  # left, back, head grow with the index; mm a voxel


def _write(path: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    make: Any = nib.Nifti1Image
    nib.save(make(labels, affine), path)
    return path


def test_axes_come_out_as_head_back_left(tmp_path: Path) -> None:
    affine = np.diag([-8.0, -9.0, 10.0, 1.0])  # left, back, head grow with the index
    anatomy = load(_write(tmp_path / "a.nii.gz", _map(), affine))
    assert anatomy.labels.shape == (12, 16, 20)
    assert anatomy.labels[5, 6, 4] == 1
    assert anatomy.labels[5, 8, 14] == 2
    assert anatomy.spacing_mm == (10.0, 9.0, 8.0)
    assert anatomy.id == "a"


def test_a_map_stored_in_another_order_is_the_same_anatomy(tmp_path: Path) -> None:
    first = load(_write(tmp_path / "a.nii.gz", _map(), np.diag([-8.0, -9.0, 10.0, 1.0])))
    turned = np.ascontiguousarray(_map()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, 8.0, 0, 0], [0, 0, -9.0, 0], [10.0, 0, 0, 0], [0, 0, 0, 1]])
    second = load(_write(tmp_path / "b.nii.gz", turned, affine))
    assert np.array_equal(first.labels, second.labels)
    assert first.spacing_mm == second.spacing_mm


def test_wrong_labels_are_refused_with_their_numbers(tmp_path: Path) -> None:
    labels = _map()
    labels[0, 0, 0] = 9
    with pytest.raises(PhantomError, match=r"9.*expected 0, 1 artery"):
        load(_write(tmp_path / "a.nii.gz", labels, np.eye(4)))


def test_a_map_without_arteries_is_refused(tmp_path: Path) -> None:
    labels = _map()
    labels[labels == 1] = 0
    with pytest.raises(PhantomError, match=r"lacks labels \[1\]"):
        load(_write(tmp_path / "a.nii.gz", labels, np.eye(4)))


def test_four_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhantomError, match="4 axes"):
        load(_write(tmp_path / "a.nii.gz", _map()[..., None].repeat(2, 3), np.eye(4)))


def test_a_map_without_affine_is_refused(tmp_path: Path) -> None:
    make: Any = nib.Nifti1Image
    image = make(_map(), np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(PhantomError, match="no affine"):
        load(tmp_path / "a.nii.gz")


def test_a_file_that_is_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    with pytest.raises(PhantomError, match="cannot be read"):
        load(tmp_path / "a.nii.gz")


def test_anatomies_of_two_axes_are_refused() -> None:
    with pytest.raises(PhantomError, match="2 axes"):
        Anatomy(np.zeros((3, 3), np.uint8), (1.0, 1.0, 1.0), "flat")


def _outside(labels: np.ndarray) -> np.ndarray:
    labels[labels == 1] = 3
    labels[0:2, 0:3, 0:3] = 1
    return labels


@pytest.mark.parametrize(
    ("change", "affine", "told"),
    [
        (lambda labels: labels, np.diag([-0.5, -0.5, 0.5, 1.0]), "ml of lung"),
        (lambda labels: labels, np.diag([-80.0, -9.0, 10.0, 1.0]), "voxels of 80"),
        (lambda labels: labels.transpose(2, 1, 0), CHEST, "right and left of each other"),
        (_outside, CHEST, "outside of the lungs"),
        (
            lambda labels: np.where(labels == 3, labels * (np.indices(labels.shape).sum(0) == 12), labels),
            CHEST,
            "ml of lung",
        ),
        (lambda labels: labels + np.float32(0.25), CHEST, "no labels"),
        (lambda labels: np.where(labels == 3, np.float32("nan"), labels), CHEST, "no labels"),
    ],
)
def test_labels_that_outline_no_chest_are_refused(change: Any, affine: np.ndarray, told: str, tmp_path: Path) -> None:
    with pytest.raises(PhantomError, match=told):
        load(_write(tmp_path / "a.nii.gz", np.ascontiguousarray(change(_map())), affine))


def test_a_map_that_lies_askew_is_refused(tmp_path: Path) -> None:
    turned = CHEST.copy()
    turned[:2, :2] = [[-6, 6], [-6, -6]]
    with pytest.raises(PhantomError, match="askew"):
        load(_write(tmp_path / "a.nii.gz", _map(), turned))


def test_a_map_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path / "a.nii.gz", _map(), CHEST).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) - 40])
    with pytest.raises(PhantomError, match="cannot be read"):
        load(tmp_path / "a.nii.gz")


@pytest.mark.data
def test_a_persons_map_is_taken(shared: Path) -> None:
    assert load(shared / "anatomy" / "cadpe_001.nii.gz").id == "cadpe_001"
