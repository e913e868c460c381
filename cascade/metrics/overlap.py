"""How well two masks agree: their overlap, and the distance of their surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def dice(a: Mask, b: Mask) -> float | None:
    """Overlap of two masks, 0..1; None where both are empty, for then there is nothing to overlap."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else None


def hd95(a: Mask, b: Mask, spacing: Sequence[float]) -> float:
    """The distance, in mm, within which 95 % of either surface lies of the other; NaN where a mask is empty.

    Source: Huttenlocher et al., 1993; the larger of the two directions' percentiles.

    Args:
        a: A mask `[z, y, x]`.
        b: Another, of the same shape.
        spacing: Of their voxels (z, y, x), mm.
    """
    if not (a.any() and b.any()):
        return math.nan
    (box,) = ndimage.find_objects((a | b).astype(np.uint8))
    a, b = (np.pad(mask[box], 1) for mask in (a, b))
    rims = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    to_b, to_a = (ndimage.distance_transform_edt(~rim, sampling=spacing) for rim in reversed(rims))
    return float(max(np.percentile(to_b[rims[0]], 95), np.percentile(to_a[rims[1]], 95)))
