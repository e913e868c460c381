"""Augmentation of volumes: one warp for all geometry, and HU changed before any window. No side is ever swapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.bounds import NOT_NEGATIVE, RANGE, SHARE, refuse_outside

KNOTS = 5
"""Along each side of a crop, between which an elastic change is smooth."""

BLOOD_HU = 60.0
"""From here on brightness is contrast agent (or bone)."""


@dataclass(frozen=True)
class VolumeChange:
    """How far a crop may be changed.

    Attributes:
        turn_degrees: Largest rotation about the long axis of the patient, either way.
        tilt_degrees: Largest rotation about the two others.
        scale: Smallest and largest magnification.
        stretch: Largest deviation of one axis from it, as a share.
        elastic: Largest standard deviation of an elastic displacement, points.
        contrast: Factor range on HU above 60: other doses of contrast agent.
        bend: Largest exponent, either way of 1, of the curve from blood's HU to the brightest.
        shift_hu: Largest offset of all HU, either way.
        noise_hu: Largest standard deviation of added noise.
        blur: Largest sigma of a Gaussian blur, points.
        sharpen: Largest weight of an unsharp mask.
        chance: Probability of each change of HU.
    """

    turn_degrees: float = 18.0
    tilt_degrees: float = 8.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.1
    elastic: float = 1.5
    contrast: tuple[float, float] = (0.5, 1.7)
    bend: float = 0.25
    shift_hu: float = 25.0
    noise_hu: float = 35.0
    blur: float = 0.8
    sharpen: float = 1.2
    chance: float = 0.4

    def __post_init__(self) -> None:
        """Refuse changes that no crop can be given."""
        bounds = {
            NOT_NEGATIVE: ("turn_degrees", "tilt_degrees", "elastic", "shift_hu", "noise_hu", "blur", "sharpen"),
            RANGE: ("scale", "contrast"),
            SHARE: ("stretch", "bend", "chance"),
        }
        refuse_outside(self, "change", "E_AUGMENT", bounds)


def moved_points(
    size: tuple[int, int, int], centre: NDArray[np.float64], rng: np.random.Generator, change: VolumeChange
) -> NDArray[np.float32]:
    """Where the points of a crop lie after rotation, magnification and an elastic change.

    Args:
        size: Points of the crop along `[z, y, x]`.
        centre: Of the crop, in points of the case's lattice (z, y, x).
        rng: Source of every draw.
        change: How far.

    Returns:
        float32 `[z, y, x, 3]`: points (z, y, x) of the case's lattice.
    """
    turn, *tilts = np.deg2rad(rng.uniform(-1, 1, 3) * [change.turn_degrees, change.tilt_degrees, change.tilt_degrees])
    scale = np.exp(rng.uniform(*np.log(change.scale))) * (1 + rng.uniform(-1, 1, 3) * change.stretch)
    matrix = _rotation(0, turn) @ _rotation(1, tilts[0]) @ _rotation(2, tilts[1]) @ np.diag(1 / scale)
    axes = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in size]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    points = lattice @ matrix.T.astype(np.float32) + centre.astype(np.float32)
    sigma = rng.uniform(0, change.elastic)
    knots = rng.standard_normal((1, 3, KNOTS, KNOTS, KNOTS)).astype(np.float32) * np.float32(sigma)
    if rng.random() < 0.5 and sigma > 0:
        smooth = F.interpolate(torch.from_numpy(knots), size=size, mode="trilinear", align_corners=True)[0]
        points += smooth.permute(1, 2, 3, 0).numpy()
    return np.asarray(points, dtype=np.float32)


def changed_hu(hu: NDArray[np.float32], rng: np.random.Generator, change: VolumeChange) -> NDArray[np.float32]:
    """Change contrast, level, kernel and noise of `[z, y, x]` in HU. A new array."""
    hu = np.array(hu, dtype=np.float32)
    if rng.random() < min(2 * change.chance, 1.0):
        factor, bend = np.exp(rng.uniform(*np.log(change.contrast))), 1 + rng.uniform(-1, 1) * change.bend
        bright = np.maximum(hu - BLOOD_HU, 0)
        # The curve keeps 300 HU above blood where they are, before the factor.
        hu += np.float32(factor) * 300 * (bright / 300) ** np.float32(bend) - bright
    if rng.random() < change.chance:
        hu += np.float32(rng.uniform(-change.shift_hu, change.shift_hu))
    if rng.random() < change.chance:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.3, 1) * change.blur * np.array([rng.uniform(0.5, 1.5), 1, 1]))
    elif rng.random() < change.chance:
        weight, sigma = rng.uniform(0, change.sharpen), rng.uniform(0.5, 0.9)
        hu += np.float32(weight) * (hu - ndimage.gaussian_filter(hu, sigma))
    if rng.random() < change.chance:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        sigma = rng.uniform(0, 0.8)
        if sigma > 0.3:
            noise = ndimage.gaussian_filter(noise, sigma)
        hu += noise * np.float32(rng.uniform(0, change.noise_hu) / max(float(noise.std()), 1e-6))
    return hu


def _rotation(axis: int, angle: float) -> NDArray[np.float64]:
    """About an axis of `[z, y, x]`, radians."""
    a, b = (i for i in range(3) if i != axis)
    turned = np.eye(3)
    turned[a, a] = turned[b, b] = np.cos(angle)
    turned[a, b], turned[b, a] = -np.sin(angle), np.sin(angle)
    return turned
