from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cascade.bench.emboli import Burden, burden, compare, of_patients
from cascade.cli.bench.main import main
from cascade.core.errors import InputError


def two_pieces() -> np.ndarray:
    """A mask `[z, y, x]` of two pieces, of 1000 and 27 voxels, and one voxel by itself."""
    mask = np.zeros((30, 40, 50), bool)
    mask[5:15, 5:15, 5:15] = True
    mask[20:23, 30:33, 40:43] = True
    mask[25, 5, 5] = True
    return mask


def test_pieces_volume_and_height_are_those_of_the_mask() -> None:
    found = burden(two_pieces(), (2.0, 0.5, 0.5))
    assert found is not None
    assert found.volume_ml == pytest.approx(1028 * 0.5 / 1000)
    assert found.components == 2  # the voxel by itself is too small
    assert found.extent_mm == pytest.approx(21 * 2.0)


def test_an_empty_mask_has_no_burden() -> None:
    assert burden(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0)) is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_mask_is_measured_along_the_patient_however_it_is_stored(tmp_path: Path, order: tuple[int, int, int]) -> None:
    spacing = np.array([0.5, 0.5, 2.0])  # x, y, z
    affine = np.zeros((4, 4))
    for axis, world in enumerate(order):
        affine[world, axis] = spacing[world]
    affine[3, 3] = 1
    stored = two_pieces().transpose(2, 1, 0).transpose(order)  # x, y, z, then as asked
    nibabel.save(nibabel.Nifti1Image(stored.astype(np.uint8), affine), tmp_path / "P.nii.gz")
    ((name, found),) = of_patients([tmp_path / "P.nii.gz"])
    assert name == "P"
    assert found == burden(two_pieces(), (2.0, 0.5, 0.5))


def broken(kind: str) -> bytes:
    """The bytes of a file that is no mask: none at all, one cut off, one with a hole, one of four axes."""
    mask = np.random.default_rng(0).integers(0, 2, (20, 20, 20, 2) if kind == "four axes" else (20, 20, 20))
    whole = gzip.compress(nibabel.Nifti1Image(mask.astype(np.uint8), np.eye(4)).to_bytes())
    half = len(whole) // 2
    return {
        "no mask": b"no mask",
        "empty": b"",
        "cut off": whole[:half],
        "with a hole": whole[:half] + bytes(20) + whole[half + 20 :],
        "four axes": whole,
    }[kind]


@pytest.mark.parametrize("kind", ["no mask", "empty", "cut off", "with a hole", "four axes"])
def test_a_file_that_is_no_mask_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "P.nii.gz").write_bytes(broken(kind))
    with pytest.raises(InputError, match=r"P\.nii\.gz"):
        list(of_patients([tmp_path / "P.nii.gz"]))


def test_other_emboli_are_told_from_alike_ones() -> None:
    rng = np.random.default_rng(0)

    def some(scale: float) -> list[Burden]:
        return [Burden(scale * v, 1 + int(3 * v), 40 * v) for v in rng.lognormal(0, 1, 60)]

    alike, other = compare(some(1.0), some(1.0)), compare(some(1.0), some(20.0))
    assert alike[0]["KS p"] > 0.05
    assert other[0]["KS p"] < 0.001
    assert alike[0]["50 %"] < alike[0]["95 %"]


def test_the_command_puts_simulated_emboli_beside_those_of_patients(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(two_pieces().astype(np.uint8), np.eye(4)), tmp_path / "P.nii.gz")
    assert main(["emboli", str(tmp_path), "--simulated", "1", "--seed", "5", "-o", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "emboli.json").read_text())
    assert told["patients"]["P"]["components"] == 2
    assert told["simulated"]["5"]["volume_ml"] > 0
    assert (tmp_path / "out" / "emboli.png").stat().st_size > 5000


def test_a_folder_without_emboli_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emboli", str(tmp_path), "--simulated", "1"]) == 2
    assert "none of the 0 masks" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--simulated", "0"), ("--slice-mm", "0.01"), ("--slice-mm", "nan")])
def test_counts_and_slices_that_no_study_has_are_refused(
    tmp_path: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emboli", str(tmp_path), option, value]) == 2
    assert f"{option} is {value}" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    began = time.monotonic()
    assert main(["emboli", str(tmp_path), "-o", str(tmp_path / "taken")]) == 2
    assert "taken is a file; results take a folder" in capsys.readouterr().err
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--seed", "-3"], "--seed is -3"),
        (["--split", "train"], "name their folder by --anatomy"),
        (["{0}/a"], "2 of the masks are called P"),
    ],
)
def test_what_would_be_passed_over_is_refused_before_the_work(
    tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    for folder in (tmp_path, tmp_path / "a"):
        nibabel.save(nibabel.Nifti1Image(two_pieces().astype(np.uint8), np.eye(4)), folder / "P.nii.gz")
    assert main(["emboli", str(tmp_path), *(option.format(tmp_path) for option in options)]) == 2
    assert told in capsys.readouterr().err
