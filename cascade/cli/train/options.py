"""Kinds of options that the commands of `cascade-train` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

Folders = Annotated[tuple[Path, ...], arg(metavar="FOLDER [FOLDER ...]")]
Name = Annotated[str | None, arg(metavar="NAME")]
Count = Annotated[int | None, arg(metavar="INT")]
Amount = Annotated[float | None, arg(metavar="FLOAT")]
YesNo = Annotated[Literal["yes", "no"] | None, arg(metavar="yes|no")]


def is_yes(answer: Literal["yes", "no"] | None) -> bool | None:
    """Whether yes was said; None where nothing was."""
    return None if answer is None else answer == "yes"
