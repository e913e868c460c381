"""A folder for results: a new one, an empty one, or one of earlier results alone; and its name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from cascade.core.errors import UsageError
from cascade.core.files import names_in


def as_path(value: Path | str, what: str) -> Path:
    """A path, where one was given.

    Args:
        value: What was given.
        what: What it is the path of, such as "a study".

    Raises:
        UsageError: It is no path, or an empty text, which would be the current folder.
    """
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise UsageError(f"{what} is named by a path, got {value!r}")
    return Path(value)


def earlier_run(out: Path) -> bool:
    """Whether a folder holds what `cascade run` wrote, and nothing else."""
    try:
        files = json.loads((out / "DONE").read_text(encoding="utf-8"))["files"]
        return names_in(out) == {*files, "DONE"}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def usable_out(out: Path, earlier: Callable[[Path], bool] | None = earlier_run) -> Path:
    """A folder that results may go to: not there yet, empty, or holding earlier results alone, which are replaced.

    Args:
        out: The folder.
        earlier: Whether a folder holds earlier results alone, which may be taken away; None where nothing is replaced.

    Raises:
        UsageError: It is a file, or below one, or a folder that holds something else.
    """
    writable(out)
    if out.is_dir() and names_in(out) and not (earlier is not None and earlier(out)):
        text = f"{out} holds files that are not results of this command, or not whole (a run that was killed)"
        raise UsageError(f"{text}; give a new folder, or take this one away", "E_OUT")
    return out


def writable(out: Path) -> Path:
    """A folder that files can be written into, there or not yet: known before the work, not after it.

    Raises:
        UsageError: It is a file, or below one, or may not be written to.
    """
    base = next((path for path in (out, *out.parents) if path.exists()), out)
    if base.exists() and not base.is_dir():
        raise UsageError(f"{base} is a file; results take a folder", "E_OUT")
    if not os.access(base, os.W_OK | os.X_OK):
        raise UsageError(f"{base} may not be written to; name another folder", "E_OUT")
    return out


def stem(path: Path) -> str:
    """A study's name from its path: a folder's, or a file's without its endings."""
    name = path.resolve().name
    for ending in (".nii.gz", ".nii", ".nrrd"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
