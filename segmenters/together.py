"""What two stages say of the same voxels, as one: the mean of their log-odds.

Members that differ in kind are not calibrated alike. A mean of probabilities lets the louder one decide; the mean of
log-odds (the geometric mean) asks both.
Source: Genest and Zidek, "Combining probability distributions", Statistical Science 1986 (logarithmic opinion pool).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box

LEAST = 0.5 / 255
"""What the lowest of 256 steps of probability stands for."""


def together(before: Findings, after: Findings, weight: float) -> Findings:
    """The later stage's findings, with what an earlier one said of embolus and arteries taken in.

    Args:
        before: Of the earlier stage; where it said nothing, or did not look, the later stage decides alone.
        after: Of the later stage, which looked wherever the answer is to lie.
        weight: The earlier stage's share of the log-odds, 0..1; the later one has the rest.

    Returns:
        `after` with the mean of both; its std is no less than the two stages' own, half of their difference.
    """
    if not weight:
        return after
    embolus, arteries, std = after.embolus, after.arteries, after.std
    if before.arteries is not None and arteries is not None:
        arteries = _mean(before.arteries, arteries, weight)
    if before.embolus is not None and embolus is not None:
        if std is not None:
            std = _apart(before.embolus, embolus, std)
        embolus = _mean(before.embolus, embolus, weight)
    return replace(after, embolus=embolus, arteries=arteries, std=std)


def _mean(earlier: Field, later: Field, weight: float) -> Field:
    shared = _shared(earlier, later)
    one, other = (logit(np.clip(_part(field, shared), LEAST, 1 - LEAST)) for field in (earlier, later))
    values = later.values.copy()
    values[_within(shared, later.box)] = np.rint(255 * expit(weight * one + (1 - weight) * other))
    return Field(values, later.box)


def _apart(earlier: Field, later: Field, std: Field) -> Field:
    """The std, and no less than half of the difference of two maps: the standard deviation of two."""
    shared = _shared(earlier, later)
    values = std.values.copy()
    apart = np.rint(127.5 * np.abs(_part(earlier, shared) - _part(later, shared))).astype(np.uint8)
    inside = _within(shared, std.box)
    values[inside] = np.maximum(values[inside], apart)
    return Field(values, std.box)


def _shared(a: Field, b: Field) -> Box:
    """Voxels that both fields know."""
    lows = (max(a.box.z0, b.box.z0), max(a.box.y0, b.box.y0), max(a.box.x0, b.box.x0))
    highs = (min(a.box.z1, b.box.z1), min(a.box.y1, b.box.y1), min(a.box.x1, b.box.x1))
    z, y, x = ((low, max(low, high)) for low, high in zip(lows, highs, strict=True))
    return Box(*z, *y, *x)


def _within(shared: Box, box: Box) -> tuple[slice, ...]:
    corner = (box.z0, box.y0, box.x0)
    return tuple(slice(s.start - c, s.stop - c) for s, c in zip(shared.slices, corner, strict=True))


def _part(field: Field, shared: Box) -> NDArray[np.float32]:
    """Probabilities 0..1 in the shared box."""
    return field.values[_within(shared, field.box)].astype(np.float32) / np.float32(255)
