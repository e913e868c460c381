"""The scanner: field of view, slices, kernel, noise, streaks, rounding."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.phantom.canvas import Canvas
from cascade.phantom.config import Simulation
from cascade.phantom.shapes import F32, U8

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


class Noise:
    """Noise with a kernel's spectrum: a pool of planes, shifted, turned over and mixed for each slice.

    The spectrum is fitted to real scans: a hump that begins near 0 and falls from 0.21 cycles/mm (soft kernels) or 0.5
    (sharp ones); iterative reconstruction moves it to low frequencies.
    """

    def __init__(self, scan: Scan, rng: np.random.Generator, pool: int = 16) -> None:
        n = scan.matrix + 64
        look = scan.look
        fy, fx = np.fft.fftfreq(n, scan.pixel_mm)[:, None], np.fft.rfftfreq(n, scan.pixel_mm)[None, :]
        f = np.hypot(fy, fx)  # cycles / mm
        power = spectrum(f, scan.sharpness, look.iterative)
        across = np.divide(fy**2 - fx**2, f**2, out=np.zeros_like(f), where=f > 0)
        self.pool = _planes(power * (1 + look.lateral * across), pool, n, rng)
        self.rays = _planes(power * np.exp(-((fx / 0.025) ** 2)), 3, n, rng) if look.starved > 0 else []
        self.scan, self.rng, self.n = scan, rng, scan.matrix
        self.last: F32 | None = None
        self.patches = rng.standard_normal((5, 5), dtype=np.float32)
        self.shade = rng.standard_normal((6, 6), dtype=np.float32)

    def plane(self) -> F32:
        """The next slice's noise, standard deviation 1, as like its neighbour as the scan says."""
        new = self._draw(self.pool)
        alike = self.scan.look.alike
        if self.last is not None and alike > 0:
            new = np.float32(alike) * self.last + np.float32(np.sqrt(1 - alike**2)) * new
        self.last = new
        return new

    def add(self, plane: F32) -> F32:
        """A slice with noise: more behind more tissue, streaks where rows are starved of photons, slow shading."""
        scan, look, rng = self.scan, self.scan.look, self.rng
        spread, level, starved = attenuation(plane, scan.pixel_mm, look.steepness)
        for field, step in ((self.patches, 0.15), (self.shade, 0.1)):
            fresh = rng.standard_normal(field.shape, dtype=np.float32)
            field[:] = np.float32(np.sqrt(1 - step**2)) * field + np.float32(step) * fresh
        size = (self.n, self.n)
        if look.patchy > 0:
            slow = cv2.resize(self.patches, (64, 64), interpolation=cv2.INTER_CUBIC)
            spread = spread * cv2.resize(np.exp(look.patchy * slow), size, interpolation=cv2.INTER_LINEAR)
        amplitude = np.float32(scan.noise_hu * level**0.5) * spread
        out = plane + amplitude * self.plane()
        if self.rays and starved.max() > 0:
            rows = np.asarray(cv2.resize(np.repeat(starved[:, None], 2, axis=1), size, interpolation=cv2.INTER_LINEAR))
            out += np.float32(look.starved) * amplitude * rows * self._draw(self.rays)
        if look.shading_hu > 0:
            shade = cv2.resize(self.shade, size, interpolation=cv2.INTER_CUBIC)
            out += np.float32(look.shading_hu) * shade
        return np.asarray(out, np.float32)

    def _draw(self, pool: list[F32]) -> F32:
        new = np.zeros((self.n, self.n), np.float32)
        for i in self.rng.choice(len(pool), 2, replace=False):
            y, x = self.rng.integers(0, 64, 2)
            part = pool[i][y : y + self.n, x : x + self.n]
            part = part[::-1] if self.rng.random() < 0.5 else part
            part = part[:, ::-1] if self.rng.random() < 0.5 else part
            new += part
        new *= np.float32(np.sqrt(0.5) * (-1 if self.rng.random() < 0.5 else 1))
        return new


def spectrum(f: NDArray[np.floating], sharpness: float, iterative: float) -> NDArray[np.float64]:
    """Noise power at frequencies `f`, cycles/mm; of any scale."""
    cut, fall, rise = 0.27 + 0.45 * sharpness, 2 + 1.5 * sharpness, 1 + 0.5 * sharpness

    def plain(f: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray((f**rise + 0.03) * np.exp(-((f / cut) ** fall)))

    def smooth(f: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray((f + 0.04) * np.exp(-((f / (0.55 * cut)) ** 2)))

    rings = np.linspace(0.01, 1.5, 150)
    equal = float((rings * plain(rings)).sum() / (rings * smooth(rings)).sum())
    return np.asarray((1 - iterative) * plain(f) + iterative * equal * smooth(f))


def _planes(power: NDArray[np.floating], count: int, n: int, rng: np.random.Generator) -> list[F32]:
    """Noise planes `[n, n]` of standard deviation 1 with a spectrum."""
    shape = np.sqrt(np.maximum(power, 0)).astype(np.float32)
    planes = []
    for _ in range(count):
        white = np.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
        plane = np.fft.irfft2(white * shape, s=(n, n)).astype(np.float32)
        planes.append(plane / plane.std())
    return planes


def attenuation(plane: F32, pixel_mm: float, steepness: float) -> tuple[F32, float, F32]:
    """Where noise is strong, factor near 1 `[y, x]`; how much the whole slice weighs; how starved each 64th of rows is.

    Photons that crossed more tissue are fewer: the mean of row and column sums stands for the paths through a point.
    """
    small = cv2.resize(plane, (64, 64), interpolation=cv2.INTER_AREA)
    mu = np.clip(small + 1000, 0, 2200) / 1000
    cell = plane.shape[0] * pixel_mm / 64 / 10  # cm
    across, down = mu.sum(1) * cell, mu.sum(0) * cell
    weak = np.sqrt(np.exp(0.085 * (across - 26))[:, None] + np.exp(0.085 * (down - 26))[None, :])
    level = float(np.clip(weak[16:48, 16:48].mean() / 1.5, 0.6, 2.4))
    total = np.sqrt(np.exp(steepness * (across - 26))[:, None] + np.exp(steepness * (down - 26))[None, :])
    shape = np.clip(total / max(float(total[16:48, 16:48].mean()), 1e-3), 0.35, 1.9)
    blurred = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 4)
    starved = np.clip((across - 34) / 10, 0, 2.5).astype(np.float32)
    return np.asarray(cv2.resize(blurred, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)), level, starved


def kernel(plane: F32, scan: Scan) -> F32:
    """Blur of a soft kernel, overshoot of a sharp one: 10 to 90 % of an edge in 2.5 to 0.9 mm."""
    if scan.sharpness < SHARP:
        sigma = (SHARP - scan.sharpness) / SHARP * 0.9 / scan.pixel_mm
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.1)))
    gain = (scan.sharpness - SHARP) * 2.6
    blurred = cv2.GaussianBlur(plane, (0, 0), 0.75 / scan.pixel_mm)
    return np.asarray(plane + gain * (plane - blurred), np.float32)


METAL_HU = 1700.0
"""Brighter than bone and than blood with contrast."""


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


def stars(plane: F32, rng: np.random.Generator) -> F32:
    """Dark and bright rays that metal sends out: the more of it, the farther."""
    metal = (plane > METAL_HU).astype(np.uint8)
    if not metal.any():
        return plane
    count, _, stats, centres = cv2.connectedComponentsWithStats(metal, connectivity=8)
    out = np.zeros_like(plane)
    for i in range(1, min(count, 12)):
        size = min(np.sqrt(float(stats[i, cv2.CC_STAT_AREA])), 8.0)
        x, y = np.arange(plane.shape[1]) - centres[i][0], np.arange(plane.shape[0]) - centres[i][1]
        radius = np.hypot(y[:, None], x[None, :]).astype(np.float32)
        rays = rng.standard_normal(25) * 1.4
        angle = np.arctan2(y[:, None], x[None, :]) % np.pi
        ray = np.interp(angle / np.pi * 24, np.arange(25), np.r_[rays[:-1], rays[0]])
        fall = np.exp(-radius / (6 * size + 8)) * (radius > size)
        out += (160 * np.clip(size / 4, 0.3, 1.2) * ray * fall).astype(np.float32)
    return np.asarray(plane + out * (plane > -950), np.float32)
