"""A folder of results: written whole or not at all, and only where nothing else would go for it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cascade.core.errors import UsageError

_PART = re.compile(r"\..*\.part")


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
        earlier: Tells earlier results from files that nobody may take away; None where nothing is replaced.

    Raises:
        UsageError: It is a file, or below one, or a folder that holds something else.
    """
    writable(out)
    if out.is_dir() and names_in(out) and not (earlier is not None and earlier(out)):
        raise UsageError(f"{out} holds files that are not results of this command; give a new folder", "E_OUT")
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


@contextmanager
def whole(out: Path, last: str = "DONE") -> Iterator[Path]:
    """A new folder to write into; its content takes the place of what `out` holds when the block ends without an error.

    The new folder lies beside `out`, and becomes it at once. Where `out` is there already it lies inside, since `out`
    may be a disk of its own, or the only folder that may be written to; what `out` held goes only then, `last` first.

    Args:
        out: For which `usable_out` has been asked.
        last: The file that tells that the rest is whole.

    Raises:
        UsageError: No folder can be made there.
    """
    out = out.resolve()
    there = out.is_dir()
    part = (out if there else out.parent) / f".{out.name}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"no folder can be made in {part.parent} ({error.strerror}); name another -o", "E_OUT"
        ) from error
    try:
        yield part
        if there:
            _replace(out, part, last)
        else:
            part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _replace(out: Path, part: Path, last: str) -> None:
    (out / last).unlink(missing_ok=True)
    for name in names_in(out):
        old = out / name
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for name in sorted(names_in(part), key=lambda name: name == last):
        (part / name).rename(out / name)


def names_in(folder: Path) -> set[str]:
    """What a folder holds, but for the remains of a run that was killed."""
    return {path.name for path in folder.iterdir() if not _PART.fullmatch(path.name)}


def stem(path: Path) -> str:
    """A study's name from its path: a folder's, or a file's without its endings."""
    name = path.resolve().name
    for ending in (".nii.gz", ".nii", ".nrrd"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
