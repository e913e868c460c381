from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist, directed_hausdorff

from cascade.metrics.overlap import dice, hd95


def random_masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = ndimage.gaussian_filter(rng.normal(size=(2, 9, 11, 10)), (0, 1.5, 1.5, 1.5)) > 0.02
    return a, b


def surface_mm(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Voxels of the mask with a neighbour outside of it, mm `[n, 3]`."""
    padded = np.pad(mask, 1)
    return np.argwhere(padded & ~ndimage.binary_erosion(padded)) * np.array(spacing)


def test_dice_is_symmetric() -> None:
    a, b = random_masks(3)
    assert dice(a, b) == dice(b, a)


def test_the_distance_of_surfaces_is_in_millimetres_along_each_axis() -> None:
    a, b = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    a[5, 5:15, 5:15] = b[8, 5:15, 5:15] = True
    assert hd95(a, b, (2.0, 1.0, 1.0)) == 6.0
    assert hd95(b, a, (2.0, 1.0, 1.0)) == 6.0
    assert math.isnan(hd95(a, 0 * a, (1.0, 1.0, 1.0)))


@given(st.integers(0, 10_000))
def test_the_distance_is_what_scipy_finds_between_the_surfaces_points(seed: int) -> None:
    (a, b), spacing = random_masks(seed), (2.0, 0.7, 0.9)
    points = surface_mm(a, spacing), surface_mm(b, spacing)
    between = cdist(*points)
    expected = max(np.percentile(between.min(axis=1), 95), np.percentile(between.min(axis=0), 95))
    assert hd95(a, b, spacing) == pytest.approx(expected)
    assert hd95(a, b, spacing) <= max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]) + 1e-9
