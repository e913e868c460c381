"""What both classifiers share: three windows in, probabilities out, values for the slices between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import UsageError
from cascade.core.stage import Net
from cascade.core.windows import WINDOWS

CHANNELS = ("lung", "pe", "mediastinal")
"""The windows that both classifiers see, in this order."""


LEAST_SIZE = 32
"""Points along a picture's side: networks halve it five times."""


def refuse_unusable(pixel_mm: float, size: int, stride_mm: float) -> None:
    """Refuse settings by which no picture can be cut.

    Raises:
        ValueError: A length is none, or the picture is smaller than a network's last layer needs.
    """
    if not (0 < pixel_mm < math.inf and 0 <= stride_mm < math.inf):
        raise ValueError(f"pixel_mm must be above 0 and stride_mm not negative, got {pixel_mm} and {stride_mm}")
    if size < LEAST_SIZE:
        raise ValueError(f"size must be {LEAST_SIZE} or more, got {size}")


def picture(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """HU `[y, x]` in the three windows: float32 `[3, y, x]` in 0..1."""
    return np.stack([WINDOWS[name].to_unit(hu) for name in CHANNELS])


def probabilities(stage: str, nets: Mapping[str, Net], batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean probability of the networks for each picture and question: float32 `[n, questions]`.

    Raises:
        UsageError: There is no network.
    """
    if not nets:
        raise UsageError(f"the stage {stage!r} was made without networks; load it from a bundle")
    logits = np.stack([net(batch) for net in nets.values()]).astype(np.float64)
    return np.asarray((1 / (1 + np.exp(-np.clip(logits, -60, 60)))).mean(axis=0), dtype=np.float32)


def between(
    z_mm: NDArray[np.float64], seen: Sequence[int], values: NDArray[np.float32], reach_mm: float
) -> NDArray[np.float32]:
    """Values of all slices from those of some: linear in between, the nearest beyond the ends.

    Args:
        z_mm: Position of every slice, rising.
        seen: Indices of the slices with a value, rising.
        values: Their values; NaN counts as not seen.
        reach_mm: A slice further than this from every seen one stays NaN.
    """
    known = np.isfinite(values)
    index = np.asarray(seen, dtype=np.intp)[known]
    out = np.full(len(z_mm), np.nan, dtype=np.float32)
    if not index.size:
        return out
    at = z_mm[index]
    right = np.searchsorted(at, z_mm).clip(0, len(at) - 1)
    left = (right - 1).clip(0)
    near = np.minimum(np.abs(z_mm - at[left]), np.abs(z_mm - at[right])) <= reach_mm
    out[near] = np.interp(z_mm[near], at, values[known])
    # The seen slices keep their value to the bit.
    out[index] = values[known]
    return out
