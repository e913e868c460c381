from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cascade.cli.folder import earlier_demo
from cascade.cli.main import main
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.folder import earlier_run, usable_out
from cascade.simulation.set import is_set


def results(folder: Path) -> Path:
    """A folder as `cascade run` leaves it."""
    folder.mkdir(parents=True)
    (folder / "findings.json").write_text("{}")
    (folder / "DONE").write_text(json.dumps({"files": {"findings.json": "0"}}))
    return folder


def test_a_folder_of_other_files_is_not_written_into(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="E_OUT"):
        usable_out(tmp_path)


def test_earlier_results_may_be_replaced(tmp_path: Path):
    assert usable_out(results(tmp_path / "out"))


def test_a_file_is_no_place_for_results(tmp_path: Path):
    (tmp_path / "out").touch()
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(UsageError, match="take a folder"):
            usable_out(out)


@pytest.mark.parametrize(
    ("marker", "earlier"), [("DONE", earlier_run), ("index.csv", is_set), ("demo.png", earlier_demo)]
)
def test_a_marker_alone_gives_no_leave_to_delete(marker: str, earlier: Callable[[Path], bool], tmp_path: Path):
    (tmp_path / marker).write_text("study\n1\n")
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="E_OUT"):
        usable_out(tmp_path, earlier)


def test_results_with_a_note_beside_them_are_kept(tmp_path: Path):
    (results(tmp_path / "out") / "note.txt").write_text("precious")
    with pytest.raises(UsageError, match="E_OUT"):
        usable_out(tmp_path / "out")


def test_a_simulated_set_is_replaced_only_while_nothing_was_added(simulated: Path, tmp_path: Path):
    copy = shutil.copytree(simulated, tmp_path / "set")
    assert is_set(copy)
    (copy / "seed-00005" / "note.txt").write_text("precious")
    assert not is_set(copy)


def test_slices_never_take_the_place_of_results(slab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = results(tmp_path / "out")
    assert main(["convert", str(slab), str(out)]) == 2
    assert earlier_run(out)
    assert "E_OUT" in capsys.readouterr().err


def test_a_folder_that_is_there_is_filled_and_stays_itself(tmp_path: Path):
    out = results(tmp_path / "out")
    before = out.stat().st_ino  # a mounted disk cannot be renamed or removed
    with whole_folder(out) as part:
        (part / "slices.csv").write_text("new")
        (part / "DONE").write_text("new")
        assert (out / "findings.json").exists()
    assert out.stat().st_ino == before
    assert sorted(path.name for path in out.iterdir()) == ["DONE", "slices.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_earlier_results_as_they_were(tmp_path: Path):
    out = results(tmp_path / "out")
    with pytest.raises(IsADirectoryError), whole_folder(out) as part:  # noqa: PT012  # half of it must be there
        (part / "slices.csv").write_text("half")
        part.write_text("no file")
    assert earlier_run(out)


def test_the_remains_of_a_killed_run_do_not_bar_its_folder(tmp_path: Path):
    (results(tmp_path / "out") / ".out.123.part").mkdir()
    assert usable_out(tmp_path / "out")


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UsageError, match="may not be written to"):
        usable_out(tmp_path / "out")
