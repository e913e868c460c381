"""Data sets: each file turns one layout on disk into cases. `open_cases` finds out which layout a folder has."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from cascade.core.config import from_json
from cascade.core.errors import InputError, UsageError
from cascade.core.registry import refuse_unknown
from cascade.datasets.case import Case
from cascade.datasets.description import Description, describe
from cascade.datasets.entry import Entry

__all__ = ["LAYOUTS", "Description", "Entry", "entries", "open_cases", "refuse_unknown_layout"]


class Layout(Protocol):
    """What a data set's file offers."""

    @property
    def Options(self) -> type[Any]:  # noqa: N802  # a class of the module
        """What may stand under `options` in `dataset.yaml`: a frozen dataclass."""

    def fits(self, folder: Path) -> bool:
        """Whether the folder has this layout."""
        ...

    def entries(self, folder: Path, options: Any) -> Iterator[Entry]:
        """Its cases, in a fixed order, before they are opened."""
        ...


LAYOUTS = {
    name: f"cascade.datasets.layouts.{name}"
    for name in (
        "stored",
        "simulated",
        "rsna",
        "jpeg256",
        "lung_bbox",
        "fumpe",
        "cadpe",
        "read",
        "inspect",
        "nifti",
        "png",
        "yolo",
        "boxes",
        "slices",
        "labelled",
        "scans",
    )
}
"""Modules by the name of their layout. A folder that several fit has the first of them."""


def open_cases(folder: Path, layout: str | None = None, assume_negative: bool = False) -> Iterator[Case]:
    """The cases of a data set, one at a time.

    Args:
        folder: Of the set, or a YAML file that describes one (`description.py`).
        layout: A name of `LAYOUTS`; by default what `dataset.yaml` says, else found by looking.
        assume_negative: Plain scans, of which nobody says anything, show no embolism.

    Raises:
        InputError: The folder has none of these layouts, or a case cannot be read rightly.
        UsageError: There is no such layout, or an option of it is wrong.
    """
    return (entry.open() for entry in entries(folder, layout, assume_negative))


def entries(folder: Path, layout: str | None = None, assume_negative: bool = False) -> Iterator[Entry]:
    """The cases before they are opened: names, patients and files, without a look at the pixels; as `open_cases`."""
    folder, described = describe(folder)
    name = layout or described.layout
    name = _found(folder) if name is None else name
    module = _named(name)
    try:
        options = from_json(module.Options, described.options, "options")
    except ValueError as error:
        raise UsageError(f"{folder.name}/dataset.yaml: {error}", "E_DATASET") from error
    if assume_negative and hasattr(options, "assume_negative"):
        options = replace(options, assume_negative=True)
    found = (entry for entry in module.entries(folder, options) if described.takes(entry.patient))
    return _some((replace(entry, read_as=(name, options)) for entry in found), folder, name)


def _some(found: Iterator[Entry], folder: Path, name: str) -> Iterator[Entry]:
    """The cases as they come; a set without any is refused."""
    entry = None
    for entry in found:
        yield entry
    if entry is None:
        raise InputError(
            "E_NO_CASES",
            f"{folder.name} holds no case of the layout {name}; see docs/datasets.md for how its files are named, and "
            "which patients its dataset.yaml leaves out",
        )


def refuse_unknown_layout(name: str | None) -> None:
    """Refuse a layout that there is not; None is found by looking.

    Raises:
        UsageError: E_UNKNOWN_LAYOUT, the nearest is named.
    """
    if name is not None:
        refuse_unknown("data set layout", name, LAYOUTS, "E_UNKNOWN_LAYOUT")


def _named(name: str) -> Layout:
    refuse_unknown_layout(name)
    return cast(Layout, importlib.import_module(LAYOUTS[name]))


def _found(folder: Path) -> str:
    fitting = next((name for name in LAYOUTS if folder.is_dir() and _named(name).fits(folder)), None)
    if fitting is not None:
        return fitting
    raise InputError(
        "E_NO_DATASET",
        f"{folder.name!r} is no data set this version reads; give one of {', '.join(LAYOUTS)}, or name the layout in "
        "its dataset.yaml to learn what is missing",
    )
