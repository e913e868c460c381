"""Cases stored by `Case.save`: a folder of `*.case` files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cascade.datasets.case import Case
from cascade.datasets.entry import Entry


@dataclass(frozen=True)
class Options:
    """This layout has no options."""


def fits(folder: Path) -> bool:
    """Whether the folder holds such files."""
    return any(folder.glob("*.case"))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of their names."""
    for path in sorted(folder.glob("*.case")):
        name, patient = _head(path)
        yield Entry(name, patient, (path,), partial(Case.load, path))


def _head(path: Path) -> tuple[str, str]:
    """Name and patient, without the voxels; the file's name for both where it says neither: it won't open."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            head = json.loads((file.metadata() or {})["case"])
        return head["name"], head["patient"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return path.stem, path.stem
