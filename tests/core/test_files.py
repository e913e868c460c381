from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cascade.core.errors import UsageError
from cascade.core.files import (
    OutputError,
    is_done,
    names_in,
    to_json,
    whole_folder,
    write_bytes,
    write_done,
    write_whole,
)


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "file", b"all of it")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"all of it"


def test_a_file_that_cannot_be_written_leaves_the_one_before_and_no_remains(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"before")
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, most[1]))
    try:
        with pytest.raises(OutputError, match="E_OUTPUT: file cannot be written"):
            write_bytes(tmp_path / "file", bytes(2_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert (tmp_path / "file").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  # hidden ones too


def test_an_error_of_what_fills_a_file_is_passed_on_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: object) -> None:
        raise ValueError("not now")

    with pytest.raises(ValueError, match="not now"):
        write_whole(tmp_path / "file", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_when_all_is_in_it(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as part:
        write_bytes(part / "file", b"")
        assert not (tmp_path / "out").exists()
        assert names_in(tmp_path) == set()
    assert names_in(tmp_path) == {"out"}


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not now"), whole_folder(tmp_path / "out") as part:  # noqa: PT012  # half of it must be there
        write_bytes(part / "file", b"")
        raise ValueError("not now")
    assert list(tmp_path.iterdir()) == []


def of_a_process_that_is_gone() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize("there", [False, True])
def test_what_a_killed_process_left_of_a_folder_stayed_for_ever(there: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    gone, alive = of_a_process_that_is_gone(), os.getppid()
    for folder in (tmp_path, out) if there else (tmp_path,):
        for name in (f".out.{gone}.part", f".out.{alive}.part", f".other.{gone}.part", f".out.2.{gone}.part"):
            write_bytes(folder / name / "file", b"half of it")
    with whole_folder(out) as part:
        write_bytes(part / "file", b"")
    for folder in (tmp_path, out) if there else (tmp_path,):
        left = {path.name for path in folder.iterdir() if path.name.startswith(".")}
        assert left == {f".out.{alive}.part", f".other.{gone}.part", f".out.2.{gone}.part"}


def test_what_an_earlier_process_of_our_number_left_ended_the_run(tmp_path: Path) -> None:
    write_bytes(tmp_path / f".out.{os.getpid()}.part" / "old", b"half of it")
    with whole_folder(tmp_path / "out") as part:
        write_bytes(part / "file", b"")
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208  # hidden ones too
    assert names_in(tmp_path / "out") == {"file"}


def test_a_folder_that_is_being_written_is_not_taken_for_remains(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as part:
        write_bytes(part / "file", b"")
        with pytest.raises(UsageError, match="E_OUT"), whole_folder(tmp_path / "out"):
            pass
    assert names_in(tmp_path / "out") == {"file"}


def test_below_a_file_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="E_OUT: no folder can be made"), whole_folder(tmp_path / "file" / "out"):
        pass


def test_an_answer_is_done_while_each_file_is_as_it_was_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.json", to_json({"z": [1, 2]}))
    assert not is_done(tmp_path)
    write_done(tmp_path, ["a.json"])
    assert is_done(tmp_path)
    (tmp_path / "a.json").write_bytes(b"{}")
    assert not is_done(tmp_path)
