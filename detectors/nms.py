"""Decoded rows of a detector, `[x0, y0, x1, y1, score of each class]`, and non-maximum suppression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kept(NamedTuple):
    """One box that stayed.

    Attributes:
        label: Class index.
        score: 0..1.
        box: x0, y0, x1, y1.
    """

    label: int
    score: float
    box: tuple[float, float, float, float]


def overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box `[4]` with many `[n, 4]`; 0 where both are empty."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    total = (box[2] - box[0]) * (box[3] - box[1]) + (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) - shared
    return np.asarray(np.divide(shared, total, out=np.zeros_like(shared), where=total > 0))


def suppress(rows: NDArray[np.generic], confidence: float, iou: float) -> list[Kept]:
    """Boxes of each class that reach `confidence` and that no better box of their class covers by more than `iou`.

    Args:
        rows: `[n, 4 + classes]`; a row with NaN is no box.
        confidence: Lowest score, 0..1.
        iou: Highest intersection over union of two boxes of one class.

    Returns:
        By falling score, then class, then place: the order of the rows does not matter.
    """
    numbers = np.asarray(rows, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers).all(axis=1)]
    kept: list[Kept] = []
    for label in range(numbers.shape[1] - 4):
        some = numbers[numbers[:, 4 + label] >= confidence]
        some = some[np.lexsort((*some[:, 3::-1].T, -some[:, 4 + label]))]
        while len(some):
            best = some[0]
            x0, y0, x1, y1 = (float(v) for v in best[:4])
            kept.append(Kept(label, float(best[4 + label]), (x0, y0, x1, y1)))
            some = some[1:][overlap(best[:4], some[1:, :4]) <= iou]
    return sorted(kept, key=lambda k: (-k.score, k.label, k.box))
