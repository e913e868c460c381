"""A run's folder: whole or absent, DONE last."""

from __future__ import annotations

import hashlib
import json

import pytest

from cascade.core import files as files_module
from cascade.core.files import OutputError, is_done
from cascade.writing import save_run
from tests.writing.answers import answer, study

EVERYTHING = {"findings.json", "slices.csv", "lesions.csv", "embolus.nii.gz", "report.html", "run.json"}


def test_a_run_leaves_everything_and_done(tmp_path):
    names = save_run(study(), answer(), {"seconds": {"reading": 1.5}}, tmp_path)
    assert set(names) == EVERYTHING
    assert {path.name for path in tmp_path.iterdir()} == {*EVERYTHING, "DONE"}
    assert is_done(tmp_path)


def test_done_holds_the_hash_of_each_file(tmp_path):
    save_run(study(), answer(), {}, tmp_path)
    sums = json.loads((tmp_path / "DONE").read_text())["files"]
    assert set(sums) == EVERYTHING
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_one_changed_byte_is_no_answer(tmp_path, name):
    save_run(study(), answer(), {}, tmp_path)
    body = bytearray((tmp_path / name).read_bytes())
    body[len(body) // 2] ^= 1
    (tmp_path / name).write_bytes(bytes(body))
    assert not is_done(tmp_path)


def test_two_runs_differ_in_run_json_alone(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        save_run(study(), answer(), {"seconds": seconds}, tmp_path / name)
    for name in EVERYTHING - {"run.json"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    run = json.loads((tmp_path / "a" / "run.json").read_text())
    assert run["seconds"] == 1.0
    assert run["versions"]["numpy"]


def test_findings_are_written_even_when_only_a_table_is_asked_for(tmp_path):
    assert set(save_run(study(), answer(), {}, tmp_path, ("csv",))) == EVERYTHING - {"embolus.nii.gz", "report.html"}


@pytest.mark.parametrize("failing", range(8))
def test_a_full_disk_leaves_no_half_file_and_no_done(tmp_path, monkeypatch, failing):
    """The N-th flush to the disk fails: what stands is whole, and without DONE it is no answer."""
    calls = iter(range(1000))
    real = files_module.os.fsync

    def fsync(handle):
        if next(calls) == failing:
            raise OSError(28, "No space left on device", "/secret/path")
        real(handle)

    monkeypatch.setattr(files_module.os, "fsync", fsync)
    with pytest.raises(OutputError, match="No space left") as caught:
        save_run(study(), answer(), {}, tmp_path)
    assert "secret" not in str(caught.value)
    assert not is_done(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_earlier_answer_is_no_answer_while_a_new_one_is_written(tmp_path, monkeypatch):
    save_run(study(), answer(), {}, tmp_path)

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_module.os, "fsync", fail)
    with pytest.raises(OutputError):
        save_run(study(), answer(), {}, tmp_path)
    assert not is_done(tmp_path)


def test_a_folder_without_done_is_not_done(tmp_path):
    assert not is_done(tmp_path)
    (tmp_path / "DONE").write_text('{"files": {"../x": "0"}}')
    assert not is_done(tmp_path)
