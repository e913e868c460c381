"""Noise: its spectrum, where it is strong, and how one slice's is like the next one's."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.simulation.scanner import Scan
from cascade.simulation.shapes import F32


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
