"""Values that options may take, checked before anything heavy is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cascade.core.errors import InputError, UsageError
from cascade.core.registry import nearest
from cascade.runtime import RUNTIMES
from cascade.writing.formats import FORMATS, USUAL

Out = Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
OptionalOut = Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")]
Device = Annotated[str, arg(aliases=["-d"], metavar="DEVICE")]
Runtime = Annotated[str, arg(metavar=f"{{{','.join(('auto', *RUNTIMES))}}}")]
Studies = Positional[Annotated[tuple[Path, ...], arg(metavar="STUDY [STUDY ...]")]]
Bundle = Annotated[Path | None, arg(metavar="FOLDER")]
OperatingPoint = Annotated[str | None, arg(metavar="{rule_out,balanced,rule_in}")]
Without = Annotated[str, arg(metavar="STAGES")]
Series = Annotated[str | None, arg(metavar="SERIES")]

_WRITES = "; ".join(f"{name} ({one.files})" for name, one in FORMATS.items())
Formats = Annotated[str, arg(metavar="TYPES", help=f"Output types, with commas, of {_WRITES}.")]
USUAL_FORMATS = ",".join(USUAL)
"""The default."""


def output_formats(text: str) -> tuple[str, ...]:
    """Output types from a list with commas, such as `json,csv`; json is always among them.

    Raises:
        UsageError: One is unknown.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"unknown output type {name!r} in --formats; {nearest(name, FORMATS)}")
    return tuple(name for name in FORMATS if name in names or name == "json")


def named(runtime: str) -> str | None:
    """The runtime by its name; None lets the device's best be chosen.

    Raises:
        UsageError: There is none of that name.
    """
    if runtime != "auto" and runtime not in RUNTIMES:
        raise UsageError(
            f"unknown runtime {runtime!r} in --runtime; {nearest(runtime, ('auto', *RUNTIMES))}", "E_RUNTIME"
        )
    return None if runtime == "auto" else runtime


STUDY = "a DICOM folder, a NIfTI or an NRRD file"


def existing(path: Path, wanted: str = "the path of what is there") -> Path:
    """A path that exists.

    Args:
        path: Of a file or a folder.
        wanted: What to give instead.

    Raises:
        InputError: It does not.
    """
    if not path.exists():
        hint = (
            "; a setting KEY=VALUE stands before the options, which take all that follows" if "=" in str(path) else ""
        )
        raise InputError("E_NOT_FOUND", f"{path} does not exist; give {wanted}{hint}")
    return path


def not_negative(**numbers: int) -> None:
    """Refuse numbers under 0, by the names of their options.

    Raises:
        UsageError: One is.
    """
    for name, number in numbers.items():
        if number < 0:
            raise UsageError(f"--{name.replace('_', '-')} is {number}; a whole number from 0 on is meant")


def refuse_duplicates(what: str, names: Iterable[str]) -> None:
    """Refuse names that stand for two things, of which one would be passed over.

    Raises:
        UsageError: One does.
    """
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(f"{times} of the {what} are called {name}; give each once, by a name of its own")
