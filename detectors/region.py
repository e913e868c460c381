"""From boxes on some slices to boxes on all, and to one region of the study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.core.grid import Box, Grid

Boxes = NDArray[np.float32]
"""Float32 `[z, 2, 4]`: right and left lung as x0, y0, x1, y1 in voxels; NaN where there is none."""


def without_strays(boxes: Boxes, run: int) -> Boxes:
    """Boxes `[k, 2, 4]` of the slices looked at, without those of a side that come fewer than `run` in a row."""
    kept = boxes.copy()
    run = min(run, len(boxes))
    for side in range(boxes.shape[1]):
        seen = np.isfinite(boxes[:, side, 0])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
        for start, stop in edges.reshape(-1, 2):
            if stop - start < run:
                kept[start:stop, side] = np.nan
    return kept


def without_leaps(boxes: Boxes, z_mm: NDArray[np.float64], pixel_mm: tuple[float, float], slope: float) -> Boxes:
    """Boxes `[k, 2, 4]` of the slices looked at, none much wider than both its neighbours.

    Lungs taper: an edge that leaves the box around the neighbours goes no further than `slope` times their distance.

    Args:
        boxes: In voxels.
        z_mm: Position of the slices, rising.
        pixel_mm: Distance of the voxels along y and x.
        slope: Millimetres outwards for each millimetre along the patient.
    """
    kept = boxes.copy()
    scale = np.array([pixel_mm[1], pixel_mm[0]])
    for side in range(boxes.shape[1]):
        for i in np.flatnonzero(np.isfinite(boxes[:, side, 0])):
            near = [j for j in (i - 1, i + 1) if 0 <= j < len(boxes) and np.isfinite(boxes[j, side, 0])]
            if not near:
                continue
            reach = slope * max(abs(z_mm[j] - z_mm[i]) for j in near) / scale
            low = np.min([boxes[j, side, :2] for j in near], axis=0) - reach
            high = np.max([boxes[j, side, 2:] for j in near], axis=0) + reach
            kept[i, side] = np.concatenate([np.maximum(boxes[i, side, :2], low), np.minimum(boxes[i, side, 2:], high)])
            if (kept[i, side, 2:] <= kept[i, side, :2]).any():
                kept[i, side] = np.nan
    return kept


def fill(boxes: Boxes, seen: Sequence[int], count: int) -> Boxes:
    """Boxes of all `count` slices from those `[k, 2, 4]` of the slices `seen`, rising.

    A slice between two that were looked at gets the box around both, so that none is too small; beyond the first
    and the last the nearest one holds.
    """
    out = np.full((count, *boxes.shape[1:]), np.nan, np.float32)
    if not len(seen):
        return out
    index = np.asarray(seen)
    upper = np.searchsorted(index, np.arange(count)).clip(0, len(index) - 1)
    lower = np.where(index[upper] == np.arange(count), upper, (upper - 1).clip(0))
    upper = np.where(np.arange(count) > index[-1], len(index) - 1, upper)
    lower = np.where(np.arange(count) > index[-1], len(index) - 1, lower)
    return join(boxes[lower], boxes[upper])


def join(a: Boxes, b: Boxes) -> Boxes:
    """The boxes around both; where one is NaN, the other."""
    return np.concatenate([np.fmin(a[..., :2], b[..., :2]), np.fmax(a[..., 2:], b[..., 2:])], axis=-1)


def around(boxes: Boxes) -> Box | None:
    """The box of voxels around all boxes `[z, 2, 4]`; None where there are none."""
    slices = np.flatnonzero(np.isfinite(boxes[..., 0]).any(axis=1))
    if not slices.size:
        return None
    low, high = np.nanmin(boxes[..., :2], axis=(0, 1)), np.nanmax(boxes[..., 2:], axis=(0, 1))
    x0, y0 = (int(v) for v in np.floor(low))
    x1, y1 = (int(v) for v in np.ceil(high))
    return Box(int(slices[0]), int(slices[-1]) + 1, y0, y1, x0, x1)


def widen(box: Box | None, grid: Grid, margin_mm: float) -> Box | None:
    """A box with a margin on every side, kept inside the grid."""
    if box is None:
        return None
    z, y, x = (int(np.ceil(margin_mm / spacing - 1e-6)) for spacing in grid.spacing)
    return box.grow((z, y, x), grid.shape)


def area_ratio(a: Box | None, b: Box | None) -> float:
    """Intersection over union of two boxes, in voxels; 1 for two absent boxes, 0 for one."""
    if a is None or b is None:
        return float(a is b)
    sides = [
        max(min(p, q) - max(m, n), 0)
        for m, p, n, q in ((a.z0, a.z1, b.z0, b.z1), (a.y0, a.y1, b.y0, b.y1), (a.x0, a.x1, b.x0, b.x1))
    ]
    shared = float(np.prod(sides))
    return shared / (float(np.prod(a.shape)) + float(np.prod(b.shape)) - shared)
