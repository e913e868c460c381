from __future__ import annotations

from pathlib import Path

import pytest

from cascade.core.errors import InputError, UsageError
from cascade.simulation.label_maps import find_maps, read_split


def test_a_file_is_a_map_of_its_own_and_nothing_none(tmp_path: Path):
    (tmp_path / "a.nii.gz").touch()
    assert find_maps(tmp_path / "a.nii.gz") == [tmp_path / "a.nii.gz"]
    assert find_maps(None) == []
    with pytest.raises(InputError, match="E_NOT_FOUND"):
        find_maps(tmp_path / "b.nii.gz")


def test_a_split_is_read_by_its_columns_whatever_else_the_table_holds(tmp_path: Path):
    (tmp_path / "split.csv").write_text("source,id,split\nx,a,train\ny,b,test\n")
    assert read_split(tmp_path) == {"a": "train", "b": "test"}


def test_label_maps_are_those_of_the_split(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "split.csv").write_text("id,split\na,train\nb,test\n")
    assert [p.name for p in find_maps(tmp_path, "train")] == ["a.nii.gz"]
    assert len(find_maps(tmp_path, "")) == 2
    with pytest.raises(InputError, match="E_NO_ANATOMY"):
        find_maps(tmp_path, "validation")


@pytest.mark.parametrize("table", ["", "name,split\na,train\n", "id;split\na;train\n"])
def test_a_table_without_the_columns_of_a_split_is_refused(tmp_path: Path, table: str):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "split.csv").write_text(table)
    with pytest.raises(UsageError, match=r"--split train needs the columns id and split in .*split\.csv"):
        find_maps(tmp_path, "train")
