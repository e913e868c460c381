"""Whole or absent: a file or a folder appears under its name with all that it holds, or not at all.

Every file that the package writes for itself or for others goes through here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from cascade.core.errors import CascadeError, UsageError

_PART = re.compile(r"\..*\.part")
_being_written: set[Path] = set()
"""New folders of this process that are not whole yet, whichever thread writes them."""
_NUMBERS = re.compile(r"\[\n([-+0-9.eE,\s]+)\n\s*\]")


class OutputError(CascadeError):
    """The outputs cannot be written: disk full, no permission. No half file is left."""

    exit_code = 3


def write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file by a temporary one in the same folder, flushed to the disk, then renamed.

    Raises:
        OutputError: E_OUTPUT; the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        # error.strerror names the cause without the path, which may hold a patient's name.
        text = f"{path.name} cannot be written ({error.strerror}); free space or choose another folder with -o"
        raise OutputError("E_OUTPUT", text) from error


def write_bytes(path: Path, content: bytes) -> None:
    """`write_whole` for bytes that are held."""
    write_whole(path, lambda file: file.write(content))


@contextmanager
def whole_folder(out: Path, last: str = "DONE") -> Iterator[Path]:
    """A new folder to write into; its content takes the place of what `out` holds when the block ends without an error.

    The new folder lies beside `out`, and becomes it at once. Where `out` is there already it lies inside, since `out`
    may be a disk of its own, or the only folder that may be written to; what `out` held goes only then, `last` first.
    New folders of `out` whose process was killed are taken away.

    Args:
        out: Nothing that it holds is kept.
        last: The file that says that the rest is whole.

    Raises:
        UsageError: No folder can be made there.
    """
    out = out.resolve()
    there = out.is_dir()
    part = (out if there else out.parent) / f".{out.name}.{os.getpid()}.part"
    _remove_remains(out)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"no folder can be made in {part.parent} ({error.strerror}); name another -o", "E_OUT"
        ) from error
    _being_written.add(part)
    try:
        yield part
        if there:
            _replace(out, part, last)
        else:
            part.rename(out)
        _sync_folder(out.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _being_written.discard(part)


def names_in(folder: Path) -> set[str]:
    """What a folder holds, but for the remains of writing that was killed."""
    return {path.name for path in folder.iterdir() if not _PART.fullmatch(path.name)}


def write_done(out: Path, names: list[str], more: Mapping[str, Any] | None = None) -> None:
    """Write DONE: the sha256 of each file, so that a whole answer differs from its remains."""
    sums = {name: sha256_of(out / name) for name in sorted(names)}
    write_bytes(out / "DONE", to_json({"files": sums, **(more or {})}))


def is_done(out: Path) -> bool:
    """Whether a folder holds a whole answer: DONE is there, and each file is as it says."""
    try:
        sums = json.loads((out / "DONE").read_text())["files"]
        return all("/" not in name and sha256_of(out / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> bytes:
    """JSON for people and programs: UTF-8, two spaces, a list of numbers on one line, no NaN."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # A raw line break never stands inside a JSON string, so only lists are joined.
    text = _NUMBERS.sub(lambda match: "[" + ", ".join(match[1].replace(",", " ").split()) + "]", text)
    return (text + "\n").encode()


def _remove_remains(out: Path) -> None:
    """Take away the new folders of `out` that killed processes left, beside it or inside."""
    name = re.compile(rf"\.{re.escape(out.name)}\.(\d+)\.part")
    for folder in (folder for folder in (out.parent, out) if folder.is_dir()):
        for path in folder.iterdir():
            match = name.fullmatch(path.name)
            if match is not None and path not in _being_written and not _runs_elsewhere(int(match[1])):
                shutil.rmtree(path, ignore_errors=True)


def _runs_elsewhere(process: int) -> bool:
    """Whether there is another process of a number; an earlier one may have had our own."""
    import psutil

    return process != os.getpid() and psutil.pid_exists(process)


def _replace(out: Path, part: Path, last: str) -> None:
    (out / last).unlink(missing_ok=True)
    for name in names_in(out):
        old = out / name
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for name in sorted(names_in(part), key=lambda name: name == last):
        (part / name).rename(out / name)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
