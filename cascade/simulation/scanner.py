"""The scanner: field of view, slices and their profile, kernel."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.simulation.canvas import Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.shapes import F32, U8

Plane = NDArray[np.floating] | NDArray[np.integer]

SHARP = 0.38
"""Sharpness from which a kernel overshoots instead of blurring."""


class Planes(Protocol):
    """A volume whose canvas slices are made when they are asked for."""

    def __getitem__(self, z: int) -> F32:
        """A slice `[y, x]`."""
        ...


@dataclasses.dataclass(frozen=True)
class Look:
    """What noise looks like beside its strength and kernel.

    Attributes:
        iterative: Share of noise power that iterative reconstruction has moved to low frequencies, 0..1.
        alike: Correlation of noise between neighbouring slices.
        lateral: How much more power lies across rows than along them, as in a chest wider than deep.
        steepness: How fast noise grows with tissue in the way, a cm.
        patchy: Standard deviation of the logarithm of slow changes of its strength.
        starved: Strength of the streaks along rows that few photons pass, such as through both shoulders.
        shading_hu: Standard deviation of slow shading, HU.
    """

    iterative: float = 0.0
    alike: float = 0.0
    lateral: float = 0.0
    steepness: float = 0.085
    patchy: float = 0.0
    starved: float = 0.0
    shading_hu: float = 0.0


def look(config: Simulation, rng: np.random.Generator) -> Look:
    """Draw the looks of noise."""
    iterative = float(rng.uniform(0.15, 0.85)) if rng.random() < config.iterative else 0.0
    alike = float(rng.uniform(0.0, 0.08)) if rng.random() < 0.45 else float(rng.uniform(*config.alike))
    return Look(
        iterative, alike, float(rng.uniform(0, 0.5)), float(rng.uniform(0.08, 0.16)), float(rng.uniform(0.06, 0.28)),
        float(rng.uniform(0, 0.8)), float(rng.uniform(0.5, 4.0)),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Scan:
    """How a canvas is sampled.

    Attributes:
        pixel_mm: Pixel spacing, mm.
        slice_mm: Distance between slices, mm.
        thickness_mm: Width of the slice profile, mm.
        noise_hu: Standard deviation of noise in the middle, HU.
        sharpness: Kernel, 0 soft to 1 sharp.
        centre: Middle of the field of view (y, x) on the canvas, voxels.
        z: Centre of each slice on the canvas, voxels.
        matrix: Rows and columns.
        look: What else there is to noise.
    """

    pixel_mm: float
    slice_mm: float
    thickness_mm: float
    noise_hu: float
    sharpness: float
    centre: tuple[float, float]
    z: NDArray[np.float64]
    matrix: int
    look: Look = Look()

    @property
    def kernel(self) -> str:
        """A name as scanners give it."""
        return ("B20f", "B26f", "B30f", "B41f", "B50f", "B60f")[min(int(self.sharpness * 6), 5)]


def field_of_view(config: Simulation, rng: np.random.Generator) -> tuple[float, float]:
    """Pixel spacing and field of view, mm."""
    fov = rng.uniform(*config.fov_mm)
    pixel = float(
        np.clip(fov / config.matrix, config.pixel_mm[0] * 512 / config.matrix, config.pixel_mm[1] * 512 / config.matrix)
    )
    pixel = round(pixel, 4)
    return pixel, pixel * config.matrix


def plan(
    canvas: Canvas, lung_z: tuple[int, int], pixel_mm: float, config: Simulation, rng: np.random.Generator,
    noise: Look,
) -> Scan:  # fmt: skip
    """Choose slices and kernel for a canvas; soft kernels come more often, and sharp ones are noisier."""
    weights = np.array(config.slice_weights) / sum(config.slice_weights)
    slice_mm = float(config.slice_mm[int(rng.choice(len(weights), p=weights))])
    mm = canvas.mm
    ends = []
    for _ in range(2):
        cut = rng.uniform(*config.crop_mm) if rng.random() < config.crop else -rng.uniform(2, 28)
        ends.append(cut / mm)
    low = max(lung_z[0] + ends[0], 0.0)
    high = min(lung_z[1] - ends[1], canvas.shape[0] - 1.0)
    count = max(8, int((high - low) * mm / slice_mm))
    z = np.asarray(low + np.arange(count) * slice_mm / mm, np.float64)
    z = z[z <= canvas.shape[0] - 1]
    occupied = np.flatnonzero(canvas.lung.max((0, 1)) >= 128)
    rows = np.flatnonzero(canvas.lung.max((0, 2)) >= 128)
    centre = (
        (rows[0] + rows[-1]) / 2 + rng.normal(4, 6) / mm,
        (occupied[0] + occupied[-1]) / 2 + rng.normal(0, 6) / mm,
    )
    noise_hu = float(np.exp(rng.uniform(*np.log(config.noise_hu))))
    thickness_mm = slice_mm * float(rng.uniform(*config.thickness))
    low, high = config.sharpness
    sharpness = low + (high - low) * float(rng.random()) ** 1.2
    noise_hu *= (1 + 3.0 * sharpness**1.5) * (1 - 0.35 * noise.iterative)
    return Scan(pixel_mm, slice_mm, thickness_mm, noise_hu, sharpness, centre, z, config.matrix, noise)


class Sampler:
    """Brings canvas volumes to the scanner's slices."""

    def __init__(self, scan: Scan, shape: tuple[int, int, int], mm: float) -> None:
        self.scan, self.shape = scan, shape
        step = scan.pixel_mm / mm
        half = (scan.matrix - 1) / 2
        self.map = np.array([[step, 0, scan.centre[1] - half * step], [0, step, scan.centre[0] - half * step]])
        self.width = scan.thickness_mm / mm

    def taps(self, i: int) -> list[tuple[int, float]]:
        """Canvas slices and weights of a slice: a triangle as wide at half height as the slice is thick."""
        z, reach = self.scan.z[i], max(self.width, 1.0)
        at = np.arange(max(int(np.ceil(z - reach)), 0), min(int(z + reach), self.shape[0] - 1) + 1)
        weight = np.clip(1 - np.abs(at - z) / reach, 0, None)
        if weight.sum() <= 0:
            return [(int(np.clip(round(z), 0, self.shape[0] - 1)), 1.0)]
        weight = weight / weight.sum()
        return [(int(a), float(w)) for a, w in zip(at, weight, strict=True) if w > 0.01]

    def mean(self, volume: Plane | Planes, i: int, border: float = 0.0) -> F32:
        """A slice of a volume `[z, y, x]` over the profile, float32 `[y, x]`."""
        total = np.zeros(self.shape[1:], np.float32)
        for z, weight in self.taps(i):
            total += np.float32(weight) * volume[z]
        return self._warp(total, cv2.INTER_CUBIC if border < -500 else cv2.INTER_LINEAR, border)

    def nearest(self, volume: U8, i: int) -> U8:
        """A slice of labels, uint8 `[y, x]`."""
        z = int(np.clip(round(float(self.scan.z[i])), 0, self.shape[0] - 1))
        return np.asarray(self._warp(volume[z], cv2.INTER_NEAREST, 0.0), np.uint8)

    def _warp(self, plane: Plane, how: int, border: float) -> F32:
        size = (self.scan.matrix, self.scan.matrix)
        flags, edge = how | cv2.WARP_INVERSE_MAP, cv2.BORDER_CONSTANT
        out: Any = cv2.warpAffine(plane, self.map, size, flags=flags, borderMode=edge, borderValue=border)
        return np.asarray(out)


def kernel(plane: F32, scan: Scan) -> F32:
    """Blur of a soft kernel, overshoot of a sharp one: 10 to 90 % of an edge in 2.5 to 0.9 mm."""
    if scan.sharpness < SHARP:
        sigma = (SHARP - scan.sharpness) / SHARP * 0.9 / scan.pixel_mm
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.1)))
    gain = (scan.sharpness - SHARP) * 2.6
    blurred = cv2.GaussianBlur(plane, (0, 0), 0.75 / scan.pixel_mm)
    return np.asarray(plane + gain * (plane - blurred), np.float32)
