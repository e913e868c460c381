from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from cascade.cli.main import main
from cascade.core.version import head, version, version_of, version_with_commit
from cascade.writing.machine import machine

ONE, TWO = "1" * 40, "2" * 40


def repository(root: Path, now: str) -> Path:
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text(now + "\n")
    return root


def test_the_commit_is_where_the_branch_points_to(tmp_path: Path) -> None:
    repository(tmp_path, "ref: refs/heads/main")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(ONE + "\n")
    assert head(tmp_path) == ONE


def test_a_branch_may_be_packed_and_a_loose_one_is_newer(tmp_path: Path) -> None:
    repository(tmp_path, "ref: refs/heads/main")
    (tmp_path / ".git" / "packed-refs").write_text(f"# pack-refs\n{TWO} refs/heads/main-2\n{ONE} refs/heads/main\n")
    assert head(tmp_path) == ONE
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(TWO + "\n")
    assert head(tmp_path) == TWO


def test_a_detached_head_is_its_own_commit(tmp_path: Path) -> None:
    assert head(repository(tmp_path, ONE)) == ONE


def test_a_linked_worktree_reads_the_branches_of_its_repository(tmp_path: Path) -> None:
    main_git = repository(tmp_path / "main", "ref: refs/heads/main") / ".git"
    (main_git / "refs" / "heads" / "side").write_text(ONE + "\n")
    own = main_git / "worktrees" / "side"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/side\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {own}\n")
    assert head(tmp_path / "side") == ONE


@pytest.mark.parametrize("now", ["", "ref: refs/heads/none", "no hash"])
def test_what_does_not_say_a_commit_has_none(tmp_path: Path, now: str) -> None:
    assert head(repository(tmp_path, now)) is None
    assert head(tmp_path / "nothing") is None


def test_git_says_the_same_of_this_checkout() -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a checkout, or no git")
    assert head(root) == done.stdout.strip()


def test_every_answer_is_the_same_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"\d+(\.\d+)*(\+g[0-9a-f]{7})?", version_with_commit())
    assert version_with_commit().split("+")[0] == version() == (version_of("pe-cascade") or "0")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cascade {version_with_commit()}\n"
    run = machine()
    assert run["versions"]["pe-cascade"] == version_with_commit()
    assert socket.gethostname() not in str(run["machine"])


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert version_of("no-such-package-at-all") is None
