"""Cases stored by `Case.save`: a folder of `*.case` files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cascade.training.case import Case


def fits(folder: Path) -> bool:
    """Whether the folder holds such files."""
    return any(folder.glob("*.case"))


def cases(folder: Path) -> Iterator[Case]:
    """In the order of their names."""
    for path in sorted(folder.glob("*.case")):
        yield Case.read(path)
