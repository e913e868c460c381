from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cascade.simulation import Anatomy, SimulationError, load
from cascade.simulation.chest import fault
from cascade.simulation.procedural import build

MM = (4.0, 3.0, 5.0)
AFFINE = np.diag([-4.0, -3.0, 5.0, 1.0])
"""Left, back and head grow with the index."""


def _map() -> np.ndarray:
    """Two lungs of a chest, main arteries between them, and a left atrium below and behind these: `[x, y, z]`."""
    labels = np.zeros((56, 44, 48), np.uint8)
    labels[4:24, 4:40, 4:44] = 3
    labels[32:52, 4:40, 4:44] = 3
    labels[24:32, 12:20, 26:34] = 1
    labels[24:32, 22:30, 18:24] = 2
    labels[40, 10, 30] = 1
    return labels


def _write(path: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    make: Any = nib.Nifti1Image
    nib.save(make(labels, affine), path)
    return path


def test_axes_come_out_as_head_back_left(tmp_path: Path) -> None:
    anatomy = load(_write(tmp_path / "a.nii.gz", _map(), AFFINE))
    assert anatomy.labels.shape == (48, 44, 56)
    assert anatomy.labels[30, 10, 40] == 1
    assert anatomy.spacing_mm == (5.0, 3.0, 4.0)
    assert anatomy.id == "a"


def test_a_map_stored_in_another_order_is_the_same_anatomy(tmp_path: Path) -> None:
    first = load(_write(tmp_path / "a.nii.gz", _map(), AFFINE))
    turned = np.ascontiguousarray(_map()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, 4.0, 0, 0], [0, 0, -3.0, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    second = load(_write(tmp_path / "b.nii.gz", turned, affine))
    assert np.array_equal(first.labels, second.labels)
    assert first.spacing_mm == second.spacing_mm


def _with(value: float) -> np.ndarray:
    """The map with one voxel of another value."""
    labels = _map().astype(np.float32)
    labels[0, 0, 0] = value
    return labels


def _only(number: int, *where: slice) -> np.ndarray:
    """The map with a label left in one place alone."""
    labels = _map()
    labels[labels == number] = 0
    labels[where] = number
    return labels


def _beside(by: int) -> np.ndarray:
    """The map with its vessels moved to the left, beside the lungs."""
    labels = np.pad(_map(), ((0, by), (0, 0), (0, 0)))
    moved = np.roll(np.where(labels == 3, 0, labels), by, axis=0)
    return np.asarray(np.where(moved > 0, moved, np.where(labels == 3, 3, 0)), np.uint8)


def _strayed() -> np.ndarray:
    """The map with a voxel of vein a metre above it."""
    labels = np.pad(_map(), ((0, 0), (0, 0), (0, 200)))
    labels[30, 20, 231] = 2
    return labels


def _axes(*columns: tuple[float, float, float]) -> np.ndarray:
    """An affine of these axes."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns).T
    return affine


ONE = (slice(4, 5),) * 3
FLAT = (slice(4, 52), slice(4, 40), slice(4, 5))
WRONG = {
    "another number": (_with(9), AFFINE, r"labels \[0, 1, 2, 3, 9\].*number them so"),
    "a number past a byte": (_with(257), AFFINE, "whole numbers 0 to 3"),
    "a negative number": (_with(-1), AFFINE, "whole numbers 0 to 3"),
    "a fraction": (_with(0.5), AFFINE, "whole numbers 0 to 3"),
    "not a number": (_with(np.nan), AFFINE, "whole numbers 0 to 3"),
    "a mask": ((_map() > 0).astype(np.uint8), AFFINE, r"lacks labels \[2, 3\].*add them"),
    "nothing": (np.zeros_like(_map()), AFFINE, r"lacks labels \[1, 2, 3\]"),
    "no artery": (np.where(_map() == 1, 0, _map()), AFFINE, r"lacks labels \[1\]"),
    "no lung": (np.where(_map() == 3, 0, _map()), AFFINE, r"lacks labels \[3\]"),
    "one voxel of lung": (_only(3, *ONE), AFFINE, "0.06 ml of lung; a chest has 400"),
    "one slice of lung": (_only(3, *FLAT), AFFINE, "ml of lung; a chest has 400"),
    "one voxel of artery": (_only(1, *ONE), AFFINE, "0.06 ml of artery; a chest has 15"),
    "one voxel of vein": (_only(2, *ONE), AFFINE, "0.06 ml of vein; a chest has 10"),
    "four axes": (_map()[..., None].repeat(2, 3), AFFINE, "4 axes; expected 3"),
    "two axes": (_map()[:, :, 20], AFFINE, "2 axes; expected 3"),
    "voxels in metres": (_map(), _axes((-0.004, 0, 0), (0, -0.003, 0), (0, 0, 0.005)), "0.2 to 6: .* affine in mm"),
    "voxels of 5 cm": (_map(), _axes((-50, 0, 0), (0, -50, 0), (0, 0, 50)), "0.2 to 6: .* affine in mm"),
    "a chest of 3 cm": (_map()[20:36:2, 10:30:2, 16:36:2], AFFINE, "ml of artery; .* with its affine in mm"),
    "a chest of a metre": (_map().repeat(5, 2), AFFINE, "17280|1.73e.04 ml of lung; .* affine in mm"),
    "a voxel that strayed": (_strayed(), AFFINE, "spans 1140 x 108 x 192 mm .* see to its labels"),
    "oblique axes": (_map(), _axes((-3, -3, 0), (3, -3, 0), (0, 0, 5)), "more than 15 degrees off"),
    "two axes that are one": (_map(), _axes((-4, 0, 0), (-3, 0, 0), (0, 0, 5)), "more than 15 degrees off"),
    "upside down": (_map(), AFFINE * [1, 1, -1, 1], "upside down"),
    "back to front": (_map(), AFFINE * [1, -1, 1, 1], "back to front"),
    "axes mixed up": (_map().transpose(0, 2, 1), AFFINE, "upside down, or its axes are mixed up"),
    "arteries beside the lungs": (_beside(28), AFFINE, "beside both lungs instead of between"),
    "arteries of another scan": (_beside(60), AFFINE, "farther than 70 mm from its lungs"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_map_that_is_no_chest_is_refused_by_its_file_with_the_remedy(tmp_path: Path, kind: str) -> None:
    labels, affine, told = WRONG[kind]
    with pytest.raises(SimulationError, match=rf"label map a\.nii\.gz .*({told})") as caught:
        load(_write(tmp_path / "a.nii.gz", labels, affine))
    assert "anatomy" not in caught.value.text


def test_a_map_without_affine_is_refused(tmp_path: Path) -> None:
    make: Any = nib.Nifti1Image
    image = make(_map(), np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(SimulationError, match="no affine"):
        load(tmp_path / "a.nii.gz")


def test_a_map_whose_affine_is_nothing_is_refused(tmp_path: Path) -> None:
    make: Any = nib.Nifti1Image
    image = make(_map(), None)
    image.header["sform_code"] = 1
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    with pytest.raises(SimulationError, match=r"a\.nii has an affine that gives its voxels no size; write it"):
        load(tmp_path / "a.nii")


@pytest.mark.parametrize("kind", ["no NIfTI", "empty", "cut off", "with a hole"])
def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 4, (40, 40, 40)).astype(np.uint8)
    whole = _write(tmp_path / "a.nii.gz", noise, AFFINE).read_bytes()
    half = len(whole) // 2
    hole = whole[:half] + bytes(20) + whole[half + 20 :]
    bad = {"no NIfTI": b"nothing", "empty": b"", "cut off": whole[:half], "with a hole": hole}[kind]
    (tmp_path / "a.nii.gz").write_bytes(bad)
    with pytest.raises(SimulationError, match=r"label map a\.nii\.gz cannot be read .*again"):
        load(tmp_path / "a.nii.gz")


def test_an_image_of_another_format_is_refused(tmp_path: Path) -> None:
    make: Any = nib.freesurfer.mghformat.MGHImage
    nib.save(make(_map(), AFFINE), tmp_path / "a.mgz")
    with pytest.raises(SimulationError, match=r"a\.mgz is no NIfTI"):
        load(tmp_path / "a.mgz")


def test_anatomies_that_no_file_holds_are_refused_too() -> None:
    with pytest.raises(SimulationError, match="anatomy flat has 2 axes"):
        Anatomy(np.zeros((3, 3), np.uint8), (1.0, 1.0, 1.0), "flat")
    with pytest.raises(SimulationError, match="anatomy thin has voxels"):
        Anatomy(_map().transpose(2, 1, 0), (float("nan"), 1.0, 1.0), "thin")


def test_a_chest_that_lies_a_little_askew_is_one(tmp_path: Path) -> None:
    turn = np.deg2rad(8.0)
    askew = _axes((np.cos(turn), np.sin(turn), 0), (-np.sin(turn), np.cos(turn), 0), (0, 0, 1))
    anatomy = load(_write(tmp_path / "a.nii.gz", _map(), askew @ AFFINE))
    assert anatomy.labels[30, 10, 40] == 1


@pytest.mark.data
def test_the_maps_of_patients_are_chests_that_lie_as_stated_and_are_told_when_turned(shared: Path) -> None:
    paths = sorted((shared / "anatomy").glob("*.nii.gz"))
    assert len(paths) == 71
    for i, path in enumerate(paths[::5]):
        anatomy = load(path)
        if i % 5 == 0:
            assert "upside down" in (fault(np.flip(anatomy.labels, 0), anatomy.spacing_mm) or ""), path.name


@pytest.mark.parametrize("seed", range(3))
def test_procedural_anatomies_are_chests_with_many_branches_or_few(seed: int) -> None:
    made = build(np.random.default_rng(seed), tips=(10, 60, 330)[seed])
    assert fault(made.labels, made.spacing_mm) is None
