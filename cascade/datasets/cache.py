"""Prepared cases on disk: thinning a CT takes seconds, and every training on the same data needs the same.

A prepared case is found by all that made it - its files, its options, the code - so that nothing stale is ever read.
It is a patient's pixels: it is kept only where somebody said so, in the folder that PE_CASCADE_CASES names, and no more
of it than PE_CASCADE_CASES_GB (50) gigabytes: those not used for longest go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from cascade.core.config import to_json
from cascade.core.errors import InputError, UsageError
from cascade.core.files import OutputError
from cascade.core.version import version_of
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry

FOLDER = "PE_CASCADE_CASES"
SIZE = "PE_CASCADE_CASES_GB"
USUAL_GB = 50.0

_ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "cascade/core/*.py",
    "cascade/anatomy/*.py",
    "cascade/reading/*.py",
    "cascade/datasets/*.py",
    "cascade/datasets/layouts/*.py",
    "cascade/training/packed.py",
    "cascade/training/segmenter.py",
    "cascade/training/imbalance/*.py",
    "segmenters/embolus.py",
)
"""What a prepared case is made by; another byte in it makes other cases."""
_LIBRARIES = ("numpy", "opencv-python", "pydicom", "nibabel")
_STALE_SECONDS = 24 * 3600.0


def prepared_case(entry: Entry, prepare: Callable[[Case], Case], settings: Any) -> Case:
    """An entry, opened and prepared; from the cache where it is there, and kept where there is a cache.

    Args:
        entry: Of a data set.
        prepare: What to do with the opened case.
        settings: All that `prepare` depends on: a dataclass, or what JSON can hold.

    Raises:
        InputError: The entry cannot be opened.
        UsageError: E_CACHE, the environment names a folder or a size that cannot be used.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return prepare(entry.open())
    path = Path(folder) / f"{key(entry, settings)}.case"
    # A file that is damaged, or goes while it is read, is made again.
    with suppress(InputError, OSError):
        if path.is_file():
            case = Case.load(path)
            os.utime(path)
            return case
    case = prepare(entry.open())
    _keep(case, path, _limit())
    return case


def prepared_file(entry: Entry, prepare: Callable[[Case], Case], settings: Any, folder: Path) -> Path:
    """The file of a prepared case, in a folder that keeps it for as long as it is needed: the cache may not.

    Args:
        entry: Of a data set.
        prepare: As of `prepared_case`.
        settings: As of `prepared_case`.
        folder: Where it lies; what is there already is not made again. A case of the cache takes no room twice.

    Raises:
        InputError: The entry cannot be opened.
        UsageError: E_CACHE, the environment names a folder or a size that cannot be used.
        OutputError: The folder cannot be written.
    """
    path = folder / f"{key(entry, settings)}.case"
    if path.is_file():
        return path
    case, cached = prepared_case(entry, prepare, settings), os.environ.get(FOLDER)
    if cached:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # another file system, or one without links
            path.hardlink_to(Path(cached) / path.name)
            return path
    case.save(path)
    return path


def key(entry: Entry, settings: Any) -> str:
    """SHA-256 of what makes a prepared case: names, sizes and times of its files, the settings, the code."""
    digest = hashlib.sha256()
    made_by = [entry.name, entry.patient, to_json(entry.read_as), to_json(settings), _code()]
    made_by += [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _files(entry)]
    digest.update(json.dumps(made_by).encode())
    return digest.hexdigest()


def _files(entry: Entry) -> Iterator[Path]:
    for one in entry.files:
        found = sorted(one.rglob("*")) if one.is_dir() else [one]
        yield from (path.resolve() for path in found if path.is_file())


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in _ROOT.glob(pattern)):
        digest.update(path.read_bytes())
    digest.update(" ".join(version_of(name) or "absent" for name in _LIBRARIES).encode())
    return digest.hexdigest()


def _keep(case: Case, path: Path, limit: float) -> None:
    """Write it whole or not at all, then make room: what was used last stays.

    Raises:
        UsageError: E_CACHE, the folder cannot be written.
    """
    try:
        case.save(path)
    except OutputError as error:
        why = getattr(error.__cause__, "strerror", None) or error.text
        raise UsageError(
            f"{FOLDER} names a folder that cannot be written ({why}); make room, name another, or unset it", "E_CACHE"
        ) from error
    _make_room(path.parent, limit)


def _make_room(folder: Path, limit: float) -> None:
    """Remove the cases that were used least recently until the rest fits, and what killed runs left half-written."""
    files = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another run makes room too
            state = path.stat()
            if path.suffix == ".case":
                files.append((state.st_mtime, state.st_size, path))
            elif path.suffix in (".part", ".tmp") and time.time() - state.st_mtime > _STALE_SECONDS:
                path.unlink()
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size


def _limit() -> float:
    """How many bytes the cache may take, as the environment says or as usual."""
    text = os.environ.get(SIZE) or str(USUAL_GB)
    try:
        size = float(text)
    except ValueError as error:
        raise UsageError(f"{SIZE} is {text!r}; give a number of gigabytes", "E_CACHE") from error
    return size * 1e9
