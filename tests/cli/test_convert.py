from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascade.cli.main import main
from cascade.reading import read


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_dicom_to_volume_and_back_is_exact(study: Path, tmp_path: Path):
    assert convert(study, tmp_path / "ct.nii.gz") == 0
    assert convert(tmp_path / "ct.nii.gz", tmp_path / "slices") == 0
    first, volume, last = (read(path) for path in (study, tmp_path / "ct.nii.gz", tmp_path / "slices"))
    for other in (volume, last):
        np.testing.assert_array_equal(first.hu, other.hu)
        np.testing.assert_allclose(first.grid.affine, other.grid.affine, atol=1e-4)


def test_a_volume_that_is_there_is_not_overwritten(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "ct.nii.gz").write_text("precious")
    assert convert(study, tmp_path / "ct.nii.gz") == 2
    assert (tmp_path / "ct.nii.gz").read_text() == "precious"


def test_another_kind_of_file_is_a_usage_error(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert convert(study, tmp_path / "ct.jpg") == 2
    assert "NIfTI" in capsys.readouterr().err
    assert not (tmp_path / "ct.jpg").exists()
