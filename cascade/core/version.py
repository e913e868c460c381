"""Which version this is, and which commit it was made from: the one answer for every file and command that says it.

Needs the standard library alone, since `setup.py` runs this file to write the commit into what it builds.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

NAME = "pe-cascade"
COMMIT_FILE = "commit.txt"
"""Beside this file in what was built; a checkout has `.git` instead."""

_HASH = re.compile(r"[0-9a-f]{40,64}")


def version_of(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return None


@cache
def version() -> str:
    """This package's version, such as `0.1.0`; `0` in a tree that was never installed."""
    return version_of(NAME) or "0"


@cache
def version_with_commit() -> str:
    """The version with the commit where it is known, such as `0.1.0+gabc1234` (PEP 440's local version)."""
    made_from = commit()
    return version() if made_from is None else f"{version()}+g{made_from[:7]}"


@cache
def commit() -> str | None:
    """The commit that this code is: as it was built, else as the checkout says; None where neither is known."""
    here = Path(__file__).resolve()
    return _hash_in(here.with_name(COMMIT_FILE)) or head(here.parents[2])


def head(root: Path) -> str | None:
    """The commit that is checked out in a folder, read from git's own files; None where it is no checkout.

    Changes since the commit are not looked at, and no process is started.
    """
    git = root / ".git"
    pointed = _text(git)  # of a linked worktree or a submodule, where `.git` is a file
    if pointed.startswith("gitdir: "):
        git = root / pointed.removeprefix("gitdir: ")
    now = _text(git / "HEAD")
    if not now.startswith("ref: "):
        return now if _HASH.fullmatch(now) else None
    name = now.removeprefix("ref: ")
    common = git / (_text(git / "commondir") or ".")
    for folder in (git, common):
        if (found := _hash_in(folder / name)) is not None:
            return found
    packed = re.search(rf"^({_HASH.pattern}) {re.escape(name)}$", _text(common / "packed-refs"), re.MULTILINE)
    return packed[1] if packed else None


def _hash_in(path: Path) -> str | None:
    text = _text(path)
    return text if _HASH.fullmatch(text) else None


def _text(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
