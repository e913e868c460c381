"""How far two beliefs about one patient agree, field by field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Field, Findings


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def agreement(found: Findings, truth: Findings) -> dict[str, float]:
    """How well each field that was filled agrees with the truth: 1 is perfect."""
    scores: dict[str, float] = {}
    if found.lungs is not None and truth.lungs is not None and found.lungs is not truth.lungs:
        scores["lungs"] = box_agreement(found.lungs.boxes, truth.lungs.boxes)
    if found.slices is not None and truth.slices is not None:
        # What a truth says of slices is what every stage should have said.
        pairs = {"lung": (found.slices.lung, truth.slices.lung)}
        pairs |= {name: (got, truth.slices.suspicion) for name, got in found.slices.pe.items()}
        for name, (got, expected) in pairs.items():
            seen = np.isfinite(got)
            if seen.any():
                scores[name] = float(((got[seen] >= 0.5) == (expected[seen] >= 0.5)).mean())
    for name in ("embolus", "arteries"):
        field: Field | None = getattr(found, name)
        if field is not None:
            mask = getattr(truth, name).full(truth.grid.shape) >= 128
            scores[name] = dice(field.full(truth.grid.shape) >= 128, mask)
    return scores


def box_agreement(got: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Mean overlap over the slices and sides where both see a lung; 0 where one side is never seen."""
    both = np.isfinite(got).all(axis=2) & np.isfinite(expected).all(axis=2)
    if not both.any(axis=0).all() or both.sum() < 0.8 * np.isfinite(expected).all(axis=2).sum():
        return 0.0
    a, b = got[both], expected[both]
    shared = np.prod(np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0), axis=1)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (a, b)]
    return float((shared / (areas[0] + areas[1] - shared)).mean())


def differences(a: Findings, b: Findings) -> dict[str, float]:
    """How far two findings of one grid lie apart, field by field: voxels for boxes, probabilities otherwise."""
    far: dict[str, float] = {}
    if a.lungs is not None and b.lungs is not None:
        assert np.array_equal(np.isfinite(a.lungs.boxes), np.isfinite(b.lungs.boxes))
        far["lungs"] = float(np.nanmax(np.abs(a.lungs.boxes - b.lungs.boxes), initial=0))
    if a.slices is not None and b.slices is not None:
        assert list(a.slices.pe) == list(b.slices.pe)
        for name in ("lung", *a.slices.pe):
            one, other = (s.lung if name == "lung" else s.pe[name] for s in (a.slices, b.slices))
            assert np.array_equal(np.isfinite(one), np.isfinite(other)), name
            far[name] = float(np.nanmax(np.abs(one - other), initial=0))
    for name in ("embolus", "arteries", "std"):
        fields: Sequence[Field | None] = (getattr(a, name), getattr(b, name))
        if fields[0] is not None and fields[1] is not None:
            full = [field.full(a.grid.shape).astype(int) for field in fields if field is not None]
            far[name] = float(np.abs(full[0] - full[1]).max()) / 255
    return far
