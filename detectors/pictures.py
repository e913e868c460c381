"""Pictures to train the lung detector on: views of slices in many looks, each with the boxes of its lungs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre, find_lungs
from cascade.core.bounds import NOT_NEGATIVE, POSITIVE, SHARE, refuse_outside
from cascade.core.patch import Patch
from cascade.core.study import Study
from cascade.core.windows import AIR_HU
from detectors.lung_detector import LungDetectorConfig

Labels = NDArray[np.uint8]
"""Sides on a study's grid `[z, y, x]`: 1 right lung, 2 left lung, 0 neither."""

LEAST_MM2 = 150.0
"""Less lung on a slice is neither a box nor none: such a slice is left out."""


@dataclass(frozen=True)
class Looks:
    """How far the looks of a slice spread.

    Attributes:
        scale: Body size, factor either way.
        shift_mm: Of the body in the picture.
        rotation_deg: About the long axis.
        flip: Chance to mirror left and right; the boxes' sides are told by place, as on any patient.
        noise_hu: Highest standard deviation of added noise.
        denser_hu: Highest rise of the lungs' density (expiration, ground glass), with chance 0.4.
        window: Change of grey level and contrast of all windows, share of their width.
        crop: Chance of a field of view that cuts the body.
        padding: Chance of a round scan field in a square picture.
        blur: Chance of a soft kernel.
    """

    scale: float = 1.35
    shift_mm: float = 35.0
    rotation_deg: float = 10.0
    flip: float = 0.3
    noise_hu: float = 60.0
    denser_hu: float = 300.0
    window: float = 0.05
    crop: float = 0.25
    padding: float = 0.3
    blur: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what no picture can be made with."""
        bounds = {
            POSITIVE: ("scale",),
            NOT_NEGATIVE: ("shift_mm", "rotation_deg", "noise_hu", "denser_hu", "window"),
            SHARE: ("flip", "crop", "padding", "blur"),
        }
        refuse_outside(self, "training.spread", "E_PLAN", bounds)


@dataclass(frozen=True, eq=False)
class Picture:
    """One look at one slice.

    Attributes:
        hu: Float32 `[y, x]`, HU on the detector's lattice.
        boxes: Class (0 right, 1 left) and x0, y0, x1, y1 in pixels of each lung; none on a slice without lung.
    """

    hu: NDArray[np.float32]
    boxes: tuple[tuple[int, float, float, float, float], ...]


def pictures(
    study: Study,
    sides: Labels | None,
    looks: int,
    config: LungDetectorConfig,
    spread: Looks,
    seed: int,
    stride_mm: float = 3.0,
) -> Iterator[Picture]:
    """`looks` pictures of every slice (at most one in `stride_mm`); without `sides` the threshold finder labels them.

    Slices with a trace of lung too small to be sure of are left out.
    """
    sides = find_lungs(study).sides if sides is None else sides
    centre = body_centre(study)
    rng = np.random.default_rng(seed)
    for z in study.grid.every(stride_mm):
        patch = study.grid.patch(z, centre, config.pixel_mm, (config.size, config.size))
        for _ in range(looks):
            made = _look(study, sides[z], patch, spread, rng, config.pixel_mm)
            if made is not None:
                yield made


def plain(study: Study, sides: Labels | None, config: LungDetectorConfig, stride_mm: float = 3.0) -> Iterator[Picture]:
    """Slices as the stage sees them: for validation."""
    still = Looks(1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    yield from pictures(study, sides, 1, config, still, 0, stride_mm)


def _look(
    study: Study, labels: Labels, patch: Patch, spread: Looks, rng: np.random.Generator, pixel_mm: float
) -> Picture | None:
    size = patch.size[0]
    factor = spread.scale ** rng.uniform(-1, 1)
    angle = np.deg2rad(rng.uniform(-1, 1) * spread.rotation_deg)
    shift = rng.uniform(-1, 1, 2) * spread.shift_mm / pixel_mm
    mirror = -1.0 if rng.random() < spread.flip else 1.0
    hu, sides = patch.crop(study.hu[patch.z]), patch.crop_labels(labels)
    # From a pixel of the new picture to one of the plain view, both around the middle.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / factor
    turn[0] *= mirror
    middle = np.array([(size - 1) / 2] * 2)
    matrix = np.column_stack([turn, middle - turn @ (middle + shift)])
    flags = cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(hu, matrix, (size, size), flags=flags | cv2.INTER_LINEAR, borderValue=AIR_HU)
    sides = np.asarray(cv2.warpAffine(sides, matrix, (size, size), flags=flags | cv2.INTER_NEAREST), np.uint8)
    if mirror < 0:
        sides = np.array([0, 2, 1], np.uint8)[sides]
    hu = _change(np.asarray(turned, np.float32), sides, spread, rng)
    sides = _crop(hu, sides, spread, rng)
    boxes = []
    for side in (1, 2):
        part = sides == side
        area = np.count_nonzero(part) * (pixel_mm / factor) ** 2
        if area == 0:
            continue
        if area < LEAST_MM2:
            return None
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        boxes.append((side - 1, float(columns[0]), float(rows[0]), columns[-1] + 1.0, rows[-1] + 1.0))
    return Picture(hu, tuple(boxes))


def _change(
    hu: NDArray[np.float32], sides: NDArray[np.uint8], spread: Looks, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Density of the lungs, kernel, noise, grey level."""
    if rng.random() < 0.4 and spread.denser_hu:
        rise = rng.uniform(-0.2, 1) * spread.denser_hu
        patches = cv2.GaussianBlur(rng.standard_normal(hu.shape).astype(np.float32), (0, 0), 12)
        patches = np.clip(0.5 + patches / (4 * patches.std()), 0, 1)
        inside = cv2.blur((sides > 0).astype(np.float32), (3, 3))
        hu = hu + rise * inside * (patches if rng.random() < 0.5 else 1.0)
    if rng.random() < spread.blur:
        hu = np.asarray(cv2.GaussianBlur(hu, (0, 0), rng.uniform(0.4, 1.0)), np.float32)
    if spread.noise_hu:
        grain = cv2.GaussianBlur(rng.standard_normal(hu.shape).astype(np.float32), (0, 0), rng.uniform(0.3, 0.9))
        hu = hu + grain / grain.std() * rng.uniform(0, spread.noise_hu)
    level, contrast = rng.uniform(-1, 1, 2) * spread.window
    return np.asarray((hu + 1000) * (1 + contrast) - 1000 + level * 400, dtype=np.float32)


def _crop(
    hu: NDArray[np.float32], sides: NDArray[np.uint8], spread: Looks, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut the field of view, in place: what lies outside is padding. Returns the sides that are still shown."""
    size = hu.shape[0]
    outside = np.zeros(hu.shape, bool)
    if rng.random() < spread.crop:
        low = rng.integers(0, size // 5, 2)
        high = size - rng.integers(0, size // 5, 2)
        outside[:] = True
        outside[low[0] : high[0], low[1] : high[1]] = False
    if rng.random() < spread.padding:
        radius = rng.uniform(0.40, 0.62) * size
        yy, xx = np.mgrid[:size, :size] - (size - 1) / 2
        outside |= yy**2 + xx**2 > radius**2
    hu[outside] = rng.choice([AIR_HU, -2000, -3024])
    return np.where(outside, 0, sides).astype(np.uint8)
