"""Values that options may take, checked before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from cascade.errors import InputError, UsageError
from cascade.registry import nearest

Out = Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
Device = Annotated[str, arg(aliases=["-d"], metavar="DEVICE")]
Runtime = Literal["auto", "torch", "openvino", "openvino-bf16"]
Studies = Positional[Annotated[tuple[Path, ...], arg(metavar="STUDY [STUDY ...]")]]
Bundle = Annotated[Path | None, arg(metavar="FOLDER")]
Series = Annotated[str | None, arg(metavar="SERIES")]

FORMATS = ("json", "csv", "nifti", "html")


def formats(text: str) -> tuple[str, ...]:
    """Output types from a list with commas, such as `json,csv`; json is always among them.

    Raises:
        UsageError: One is unknown.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"unknown output type {name!r} in --ot; {nearest(name, FORMATS)}")
    return tuple(name for name in FORMATS if name in names or name == "json")


def named(runtime: Runtime) -> str | None:
    """The runtime by its name; None lets the device's best be chosen."""
    return None if runtime == "auto" else runtime


def existing(path: Path) -> Path:
    """A path that exists.

    Raises:
        InputError: It does not.
    """
    if not path.exists():
        raise InputError("E_NOT_FOUND", f"{path} does not exist; give a DICOM folder, a NIfTI or an NRRD file")
    return path


def stem(path: Path) -> str:
    """A study's name from its path: a folder's, or a file's without its endings."""
    name = path.resolve().name
    for ending in (".nii.gz", ".nii", ".nrrd"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
