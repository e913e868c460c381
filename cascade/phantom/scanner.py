"""The scanner: field of view, slices, kernel, noise, streaks, rounding."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.phantom.canvas import Canvas
from cascade.phantom.config import Simulation
from cascade.phantom.shapes import F32, U8

Plane = NDArray[np.floating] | NDArray[np.integer]


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
    """

    pixel_mm: float
    slice_mm: float
    thickness_mm: float
    noise_hu: float
    sharpness: float
    centre: tuple[float, float]
    z: NDArray[np.float64]
    matrix: int

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
    canvas: Canvas, lung_z: tuple[int, int], pixel_mm: float, config: Simulation, rng: np.random.Generator
) -> Scan:
    """Choose slices and kernel for a canvas."""
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
    return Scan(
        pixel_mm, slice_mm, slice_mm * float(rng.uniform(*config.thickness)), noise_hu,
        float(rng.uniform(*config.sharpness)), centre, z, config.matrix,
    )  # fmt: skip


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

    def mean(self, volume: Plane, i: int, border: float = 0.0) -> F32:
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


class Noise:
    """Noise with a kernel's spectrum: a pool of planes, shifted, turned over and mixed for each slice."""

    def __init__(self, scan: Scan, rng: np.random.Generator, pool: int = 16) -> None:
        n = scan.matrix + 64
        f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]) / scan.pixel_mm  # cycles / mm
        # Soft kernels measured on real scans: half the power at 0.34 cycles/mm, flat below 0.15.
        cut = 0.36 + 0.34 * scan.sharpness**1.5
        power = f / (f + 0.05) * np.exp(-((f / cut) ** 2))
        shape = np.sqrt(power).astype(np.float32)
        planes = []
        for _ in range(pool):
            white = np.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
            plane = np.fft.irfft2(white * shape, s=(n, n)).astype(np.float32)
            planes.append(plane / plane.std())
        self.pool = planes
        self.rng = rng
        self.n = scan.matrix
        self.last: F32 | None = None
        self.carry = float(np.clip(1 - scan.slice_mm / (1.25 * scan.thickness_mm), 0, 0.4))

    def plane(self) -> F32:
        """The next slice's noise, standard deviation 1, alike its neighbour as overlapping slices are."""
        new = np.zeros((self.n, self.n), np.float32)
        for i in self.rng.choice(len(self.pool), 2, replace=False):
            y, x = self.rng.integers(0, 64, 2)
            part = self.pool[i][y : y + self.n, x : x + self.n]
            part = part[::-1] if self.rng.random() < 0.5 else part
            part = part[:, ::-1] if self.rng.random() < 0.5 else part
            new += part
        new *= np.float32(np.sqrt(0.5) * (-1 if self.rng.random() < 0.5 else 1))
        if self.last is not None and self.carry > 0:
            new = np.float32(self.carry) * self.last + np.float32(np.sqrt(1 - self.carry**2)) * new
        self.last = new
        return new


def attenuation(plane: F32, pixel_mm: float) -> tuple[F32, float]:
    """Where noise is strong, factor near 1 `[y, x]`, and how much the whole slice weighs.

    Photons that crossed more tissue are fewer: the mean of row and column sums stands for the paths through a point.
    """
    small = cv2.resize(plane, (64, 64), interpolation=cv2.INTER_AREA)
    mu = np.clip(small + 1000, 0, 2200) / 1000
    cell = plane.shape[0] * pixel_mm / 64 / 10  # cm
    across, down = mu.sum(1) * cell, mu.sum(0) * cell
    total = np.sqrt(np.exp(0.085 * (across - 26))[:, None] + np.exp(0.085 * (down - 26))[None, :])
    level = float(np.clip(total[16:48, 16:48].mean() / 1.5, 0.6, 2.4))
    shape = np.clip(total / max(float(total[16:48, 16:48].mean()), 1e-3), 0.45, 1.6)
    blurred = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 4)
    return np.asarray(cv2.resize(blurred, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)), level


def kernel(plane: F32, scan: Scan) -> F32:
    """Blur or overshoot of the kernel."""
    if scan.sharpness < 0.5:
        sigma = (0.5 - scan.sharpness) * 0.9 / scan.pixel_mm
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.1)))
    gain = (scan.sharpness - 0.5) * 1.6
    blurred = cv2.GaussianBlur(plane, (0, 0), 0.75 / scan.pixel_mm)
    return np.asarray(plane + gain * (plane - blurred), np.float32)


def streaks(plane: F32, strength: float, rng: np.random.Generator) -> F32:
    """Rays that leave very dense contrast: what exceeds 500 HU, smeared along random directions."""
    small = cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
    dense = np.clip(small - 650, 0, 1200) * (small < 2500)
    count, _, stats, centres = cv2.connectedComponentsWithStats((dense > 0).astype(np.uint8))
    out = np.zeros_like(small)
    for i in range(1, min(count, 30)):
        area = int(stats[i, cv2.CC_STAT_AREA])
        width, height = int(stats[i, cv2.CC_STAT_WIDTH]), int(stats[i, cv2.CC_STAT_HEIGHT])
        if area < 20 or area < 0.55 * width * height * 0.785:  # bone is a thin shell; blood is a solid disc
            continue
        x, y = np.arange(small.shape[1]) - centres[i][0], np.arange(small.shape[0]) - centres[i][1]
        radius = np.hypot(y[:, None], x[None, :])
        angle = np.arctan2(y[:, None], x[None, :]) % np.pi
        table = np.sign(table := rng.standard_normal(34)) * np.abs(table) ** 1.6
        ray = np.interp(angle / np.pi * 34, np.arange(35), np.r_[table, table[:1]])
        body = max(np.sqrt(area / np.pi), 2.0)
        fall = np.where(radius > body, np.exp(-(radius - body) / (3.0 * body)), 0.4)
        peak = float(dense.max()) / 1200
        out += (ray * fall * (20 + 90 * peak)).astype(np.float32)
    big = cv2.resize(out, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(strength * big * (plane > -950), np.float32)
