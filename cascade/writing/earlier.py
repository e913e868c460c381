"""Findings as earlier versions of the package wrote them, in the form of today's.

Format 1 had two columns of slice scores, `pe_filter` and `pe_siamese`, whether or not a stage gave them. It called an
input of the exam `filter` that bears the name of its stage since, and the ensemble's disagreement `spread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FORMAT_1 = "pe-cascade findings 1"
FILES_1 = {"std": "spread.nii.gz"}
"""Names of maps that format 1 kept in another file."""

_COLUMNS = {"pe_filter": "pe_lung_filter", "pe_siamese": "pe_siamese"}
_INPUTS = {"filter": "lung_filter"}


def from_format_1(record: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a findings.json of format 1 as one of format 2. A column without any score was no stage's."""
    maps = dict(record["maps"])
    maps["std"] = maps.pop("spread")
    exam = record["exam"]
    if exam is not None:
        parts = [{**part, "input": _INPUTS.get(part["input"], part["input"])} for part in exam["contributions"]]
        exam = {**exam, "contributions": parts}
    rows = record["slices"]
    return {**record, "exam": exam, "slices": None if rows is None else _scored(rows), "maps": maps}


def _scored(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    given = {name for name in _COLUMNS if any(row[name] is not None for row in rows)}
    return [
        {_COLUMNS.get(name, name): value for name, value in row.items() if name in given or name not in _COLUMNS}
        for row in rows
    ]
