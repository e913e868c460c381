"""Findings to a JSON-ready record and back: the two directions of one format, beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import SIDES, Contribution, Exam, Field, Findings, Lesion, Lungs, Quality, Slices
from cascade.core.grid import Box, Grid, Order
from cascade.core.study import Note

FORMAT = "pe-cascade findings 2"
DECIMALS = 6
MAPS = ("embolus", "labels", "arteries", "std")
_PE = "pe_"
# Parts of the provenance that have a place of their own: in the file's "study", and at its top.
_STUDY = {"id": "study", "series": "series", "facts": "facts"}
_TOP = ("candidates", "bundle", "version")


def rounded(findings: Findings) -> Findings:
    """Findings as a file can hold them: numbers with 6 decimals, lists sorted.

    `load_findings(save(f))` is `rounded(f)`, and rounding twice is rounding once.
    """
    exam, slices, lesions, quality = findings.exam, findings.slices, findings.lesions, findings.quality
    if exam is not None:
        parts = (Contribution(c.input, _round(c.value), _round(c.effect)) for c in exam.contributions)
        exam = replace(
            exam,
            probability=_round(exam.probability),
            contributions=tuple(sorted(parts, key=lambda c: (-abs(c.effect), c.input))),
            labels=None if exam.labels is None else {k: _round(v) for k, v in sorted(exam.labels.items())},
        )
    if slices is not None:
        pe = {name: _round_array(scores) for name, scores in slices.pe.items()}
        slices = Slices(_round_array(slices.lung), pe)
    if lesions is not None:
        lesions = _rounded_lesions(lesions)
    rejected = None if findings.rejected is None else _rounded_lesions(findings.rejected)
    if quality is not None:
        quality = Quality(**{k: _round(v) if isinstance(v, float) else v for k, v in asdict(quality).items()})
    provenance = {key: value for key, value in findings.provenance.items() if value is not None}
    findings = replace(findings, exam=exam, slices=slices, quality=quality, provenance=provenance)
    return replace(findings, lesions=lesions, rejected=rejected)


def to_record(findings: Findings, stored: Sequence[str]) -> dict[str, Any]:
    """The content of findings.json.

    Args:
        findings: Already `rounded`.
        stored: Maps that are written as files beside it.
    """
    grid, provenance = findings.grid, dict(findings.provenance)
    study = {key: provenance.pop(name, None) for key, name in _STUDY.items()}
    top = {key: provenance.pop(key, None) for key in _TOP}
    exam = findings.exam
    return {
        "format": FORMAT,
        "study": {**study, "slices": grid.shape[0], "spacing_mm": [_round(s) for s in grid.spacing]},
        "candidates": top["candidates"],
        "quality": None if findings.quality is None else _quality_record(findings.quality),
        "exam": None if exam is None else {**asdict(exam), "contributions": [asdict(c) for c in exam.contributions]},
        "lungs": None if findings.lungs is None else _lungs_record(findings.lungs),
        "slices": None if findings.slices is None else slice_rows(findings),
        "lesions": None if findings.lesions is None else [_lesion_record(v) for v in findings.lesions],
        "rejected": None if findings.rejected is None else [_lesion_record(v) for v in findings.rejected],
        "warnings": [asdict(note) for note in findings.warnings],
        "bundle": top["bundle"],
        "version": top["version"],
        "grid": {
            "shape": list(grid.shape),
            "affine": grid.affine.tolist(),
            "axes": list(grid.order.axes),
            "flips": list(grid.order.flips),
        },
        "maps": {name: _map_record(getattr(findings, name), name in stored) for name in MAPS},
        "provenance": provenance,
    }


def from_record(record: Mapping[str, Any], maps: Mapping[str, Field]) -> Findings:
    """Findings of the content of findings.json, and the maps that were read beside it."""
    grid = grid_of(record)
    top = {name: record["study"][key] for key, name in _STUDY.items()} | {key: record[key] for key in _TOP}
    quality, exam, lungs, lesions = (record[k] for k in ("quality", "exam", "lungs", "lesions"))
    rejected = record.get("rejected")
    if exam is not None:
        exam = Exam(**{**exam, "contributions": tuple(Contribution(**c) for c in exam["contributions"])})
    return Findings(
        grid=grid,
        lungs=None if lungs is None else _lungs_of(lungs, grid.shape[0]),
        slices=None if record["slices"] is None else _slices_of(record["slices"], grid),
        lesions=None if lesions is None else tuple(_lesion_of(v) for v in lesions),
        rejected=None if rejected is None else tuple(_lesion_of(v) for v in rejected),
        exam=exam,
        quality=None if quality is None else Quality(**{k: v for k, v in quality.items() if k != "coverage"}),
        warnings=tuple(Note(**note) for note in record["warnings"]),
        provenance={**{k: v for k, v in top.items() if v is not None}, **record["provenance"]},
        embolus=maps.get("embolus"),
        labels=maps.get("labels"),
        arteries=maps.get("arteries"),
        std=maps.get("std"),
    )


def grid_of(record: Mapping[str, Any]) -> Grid:
    """The grid that a record was written for."""
    grid = record["grid"]
    shape, axes, flips = ((v[0], v[1], v[2]) for v in (grid["shape"], grid["axes"], grid["flips"]))
    return Grid(shape, np.array(grid["affine"], dtype=np.float64), Order(axes, flips))


def slice_rows(findings: Findings) -> list[dict[str, Any]]:
    """One row a slice, feet to head; columns as in slices.csv. None is unknown."""
    grid, slices, lungs = findings.grid, findings.slices, findings.lungs
    count = grid.shape[0]
    slices = slices or Slices.unknown(count)
    volume = _embolus_mm3(findings)
    region = None if lungs is None else lungs.region
    rows = []
    for z, z_mm in enumerate(grid.z_mm):
        rows.append(
            {
                "slice": source_index(grid, z),
                "z_mm": _round(float(z_mm)),
                "lung": _value(slices.lung[z]),
                **{column(name): _value(scores[z]) for name, scores in slices.pe.items()},
                "in_region": None if lungs is None else region is not None and region.z0 <= z < region.z1,
                "embolus_mm3": None if volume is None else _round(float(volume[z])),
            }
        )
    return rows


def column(stage: str) -> str:
    """The column of a stage's slice scores."""
    return f"{_PE}{stage}"


def source_index(grid: Grid, z: int) -> int:
    """Index of our slice `z` in the order of the source, and the other way round."""
    return grid.shape[0] - 1 - z if grid.order.flips[0] else z


def _embolus_mm3(findings: Findings) -> NDArray[np.float64] | None:
    if findings.labels is None and findings.embolus is None:
        return None
    count = np.zeros(findings.grid.shape[0])
    if findings.labels is not None:
        box, hit = findings.labels.box, findings.labels.values > 0
    elif findings.embolus is not None:
        box, hit = findings.embolus.box, findings.embolus.values >= 128
    count[box.z0 : box.z1] = np.count_nonzero(hit, axis=(1, 2))
    return count * findings.grid.voxel_mm3


def _slices_of(rows: Sequence[Mapping[str, Any]], grid: Grid) -> Slices:
    scores = [name for name in rows[0] if name.startswith(_PE)]
    values = {name: np.full(grid.shape[0], np.nan, np.float32) for name in ("lung", *scores)}
    for row in rows:
        z = source_index(grid, row["slice"])
        for name, known in values.items():
            if row[name] is not None:
                known[z] = row[name]
    return Slices(values["lung"], {name.removeprefix(_PE): values[name] for name in scores})


def _lungs_record(lungs: Lungs) -> dict[str, Any]:
    rows = []
    for z, pair in enumerate(lungs.boxes):
        seen = {side: _edges(box) for side, box in zip(SIDES, pair, strict=True) if not np.isnan(box).any()}
        if seen:
            rows.append({"z": z, **seen})
    return {"region": None if lungs.region is None else asdict(lungs.region), "boxes": rows}


def _edges(box: NDArray[np.float32]) -> list[float]:
    # The shortest decimals that are the same float32 again.
    return [float(str(v)) for v in box]


def _lungs_of(record: Mapping[str, Any], count: int) -> Lungs:
    boxes = np.full((count, 2, 4), np.nan, dtype=np.float32)
    for row in record["boxes"]:
        for i, side in enumerate(SIDES):
            if side in row:
                boxes[row["z"], i] = row[side]
    return Lungs(boxes, None if record["region"] is None else Box(**record["region"]))


def _lesion_record(lesion: Lesion) -> dict[str, Any]:
    return {**asdict(lesion), "centroid_mm": list(lesion.centroid_mm), "slices": list(lesion.slices)}


def _lesion_of(record: Mapping[str, Any]) -> Lesion:
    return Lesion(**{**record, "centroid_mm": tuple(record["centroid_mm"]), "slices": tuple(record["slices"])})


def _rounded_lesions(lesions: Sequence[Lesion]) -> tuple[Lesion, ...]:
    return tuple(sorted(map(_round_lesion, lesions), key=lambda v: (-v.probability, -v.volume_mm3, v.number)))


def _round_lesion(lesion: Lesion) -> Lesion:
    changes = {k: _round(v) for k, v in asdict(lesion).items() if isinstance(v, float)}
    x, y, z = (_round(float(v)) for v in lesion.centroid_mm)
    return replace(lesion, centroid_mm=(x, y, z), **changes)


def _quality_record(quality: Quality) -> dict[str, Any]:
    return {**asdict(quality), "coverage": None if quality.cut is None else _round(1 - quality.cut)}


def _map_record(field: Field | None, stored: bool) -> dict[str, Any] | None:
    if field is None:
        return None
    return {"box": asdict(field.box), "dtype": field.values.dtype.name, "stored": stored}


def _round(value: Any) -> Any:
    """6 decimals; None and what is no finite number stay None."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), DECIMALS) + 0.0  # no negative zero


def _round_array(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.round(values.astype(np.float64), DECIMALS).astype(np.float32)


def _value(value: np.float32) -> float | None:
    return None if np.isnan(value) else round(float(value), DECIMALS)
