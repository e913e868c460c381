"""Whether findings that were read agree with themselves: boxes, slices, and lesions with their map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cascade.core.errors import InputError
from cascade.core.findings import Findings
from cascade.core.grid import Box, Grid
from cascade.writing.record import MAPS


def refuse_unsound_record(record: Mapping[str, Any], grid: Grid) -> None:
    """Refuse what a findings.json says of places that its grid does not have.

    Raises:
        ValueError: The grid is none, or a box, a slice or a lesion lies outside of it.
    """
    if min(grid.shape) < 1 or grid.affine.shape != (4, 4) or not np.isfinite(grid.affine).all():
        raise ValueError(f"its grid of {grid.shape} voxels is none")
    boxes = {name: record["maps"][name]["box"] for name in MAPS if record["maps"][name] is not None}
    lungs, count = record["lungs"], grid.shape[0]
    if lungs is not None and lungs["region"] is not None:
        boxes["lungs"] = lungs["region"]
    for name, edges in boxes.items():
        if not _inside(Box(**edges), grid.shape):
            raise ValueError(f"the box of {name} leaves the grid")
    if lungs is not None and not all(0 <= row["z"] < count for row in lungs["boxes"]):
        raise ValueError("a lung box stands on a slice that the grid does not have")
    if record["slices"] is not None and sorted(row["slice"] for row in record["slices"]) != list(range(count)):
        raise ValueError(f"slices are not numbered 0 to {count - 1}, each once")
    for lesion in record["lesions"] or ():
        first, last = lesion["slices"]
        if not 0 <= first <= last < count:
            raise ValueError(f"lesion {lesion['number']} lies on slices that the grid does not have")


def refuse_other_lesions(findings: Findings, file: str) -> None:
    """Refuse a map whose numbers are not those of the lesions.

    Args:
        findings: As they were read.
        file: Name of the file of the lesions' map.

    Raises:
        ValueError: Two lesions have one number.
        InputError: E_FINDINGS, a number of the map is no lesion's, or a lesion is not in the map.
    """
    if findings.lesions is None:
        return
    numbers = [lesion.number for lesion in findings.lesions]
    if len(set(numbers)) < len(numbers):
        raise ValueError("two lesions have one number")
    if findings.labels is None:
        return
    marked = {int(number) for number in np.unique(findings.labels.values)} - {0}
    if strange := marked ^ set(numbers):
        which = f"holds lesion {min(strange)}, which findings.json does not name"
        if min(strange) not in marked:
            which = f"lacks lesion {min(strange)}, which findings.json names"
        raise InputError("E_FINDINGS", f"{file} {which}; the files belong to different studies, write them again")


def _inside(box: Box, shape: tuple[int, int, int]) -> bool:
    edges = ((box.z0, box.z1), (box.y0, box.y1), (box.x0, box.x1))
    return all(0 <= low <= high <= size for (low, high), size in zip(edges, shape, strict=True))
