"""Whole or absent: a file appears under its name with all its bytes, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cascade.core.errors import CascadeError

_NUMBERS = re.compile(r"\[\n([-+0-9.eE,\s]+)\n\s*\]")


class OutputError(CascadeError):
    """The outputs cannot be written: disk full, no permission. No half file is left."""

    exit_code = 3


def write_whole(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file by a temporary one in the same folder, flushed to the disk, then renamed.

    Raises:
        OutputError: E_OUTPUT; the temporary file is gone.
    """
    temporary = path.parent / f".tmp-{secrets.token_hex(8)}"
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


def write_done(out: Path, names: list[str], more: Mapping[str, Any] | None = None) -> None:
    """Write DONE: the sha256 of each file, so that an answer can be told from its remains."""
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
