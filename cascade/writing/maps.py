"""The maps beside findings.json, on the source's grid: lesion numbers, probabilities, disagreement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box, Grid
from cascade.writing.formats import Output
from cascade.writing.record import MAPS
from cascade.writing.volume import read_volume, write_volume

FILES = {
    "labels": "embolus.nii.gz",
    "embolus": "embolus_probability.nii.gz",
    "arteries": "arteries.nii.gz",
    "std": "std.nii.gz",
}


def stored(findings: Findings, formats: Collection[str]) -> list[str]:
    """The maps that the formats write, by the names of their fields."""
    wanted = {name: "nifti" if name == "labels" else "probability" for name in MAPS}
    return [name for name in MAPS if getattr(findings, name) is not None and wanted[name] in formats]


def write_lesions(output: Output) -> list[str]:
    """Write the lesions' numbers; nothing found is an answer too."""
    labels, grid = output.findings.labels, output.findings.grid
    values = np.zeros(grid.shape, np.uint8) if labels is None else _smallest(labels.full(grid.shape))
    write_volume(output.folder / FILES["labels"], values, grid)
    return [FILES["labels"]]


def write_maps(output: Output) -> list[str]:
    """Write the embolus, artery and disagreement maps that there are."""
    names, grid = stored(output.findings, ("probability",)), output.findings.grid
    for name in names:
        field: Field = getattr(output.findings, name)
        write_volume(output.folder / FILES[name], _smallest(field.full(grid.shape)), grid)
    return [FILES[name] for name in names]


def load_maps(folder: Path, files: Mapping[str, str], entries: Mapping[str, Any], grid: Grid) -> dict[str, Field]:
    """Read the maps back.

    Args:
        folder: Where they lie.
        files: Name of each map's file.
        entries: What findings.json says of each; their boxes lie on the grid.
        grid: Of the findings.

    Raises:
        InputError: E_FINDINGS, a map is missing or lies on another grid.
    """
    maps: dict[str, Field] = {}
    for name in MAPS:
        entry = entries[name]
        if entry is not None and entry["stored"]:
            box = Box(**entry["box"])
            full = read_volume(folder / files[name], grid, _dtype(entry))
            values = np.ascontiguousarray(full[box.slices])
            maps[name] = Field(values, box)
    embolus = entries["embolus"]
    if embolus is not None and not embolus["stored"] and "labels" in maps:
        box = Box(**embolus["box"])
        lesions = maps["labels"].full(grid.shape)[box.slices] > 0
        maps["embolus"] = Field(lesions.astype(np.uint8) * np.uint8(255), box)
    return maps


def _smallest(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.astype(np.uint8) if values.dtype != np.uint8 and not (values > 255).any() else values


def _dtype(entry: Mapping[str, Any]) -> np.dtype[Any]:
    known: dict[str, np.dtype[Any]] = {"uint8": np.dtype(np.uint8), "uint16": np.dtype(np.uint16)}
    return known[entry["dtype"]]
