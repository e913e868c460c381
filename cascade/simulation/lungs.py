"""Lung tissue: dark, denser at the back, with vessels too small for the label map; and blood in the vessels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cascade.simulation import contrast, shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.contrast import Bolus
from cascade.simulation.landmarks import Landmarks
from cascade.simulation.shapes import F32, U8


def tissue(canvas: Canvas, marks: Landmarks, config: Simulation, rng: np.random.Generator) -> None:
    """Paint lung where the label map has lung, over whatever reached into it."""
    mm = canvas.mm
    box = _around(canvas.lung)
    shape = tuple(s.stop - s.start for s in box)
    lung = canvas.lung[box]
    hu = canvas.hu[box]
    base = rng.uniform(-915, -765)
    slope = rng.uniform(20, 90)
    back = (np.linspace(-0.5, 0.5, shape[1], dtype=np.float32) * slope)[:, None]
    slow = shapes.noise((shape[0], shape[1], shape[2]), 40 / mm, rng)
    grain_sd = rng.uniform(10, 22)
    specks = _Specks((shape[1], shape[2]), mm, rng)
    emphysema = rng.random() < config.emphysema * min(config.mimics, 1.0)
    holes = shapes.noise((shape[0], shape[1], shape[2]), 12 / mm, rng) if emphysema else None
    for z in range(shape[0]):
        if not lung[z].any():
            continue
        alpha = lung[z].astype(np.float32) / 255
        fill = base + back + 14 * slow[z] + grain_sd * specks(z)
        if holes is not None:
            fill -= 90 * np.clip(holes[z] - 0.5, 0, 1)
        fill = np.clip(fill, -985, -300)
        hu[z] += alpha * (fill - hu[z])
        canvas.labels[box][z][lung[z] >= 128] = LABELS["lung"]


def fissures(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    """Faint thin sheets between the lobes: an oblique one in each lung, a level one in the right; HU alone change."""
    mm = canvas.mm
    nz, ny, nx = canvas.shape
    low, high = marks.lung_z
    middle = int(np.clip(marks.fork[2], 1, nx - 2))
    for sides, level in ((slice(0, middle), False), (slice(middle, nx), False), (slice(0, middle), True)):
        if rng.random() > 0.8:
            continue
        thick, bright = rng.uniform(0.35, 0.75), rng.uniform(90, 320)
        wave = shapes.noise((nz, nx), 38 / mm, rng) * rng.uniform(2, 7) / mm
        gaps = np.clip(1.3 + shapes.noise((nz, nx), 30 / mm, rng), 0, 1)
        if level:
            z0, tilt = low + rng.uniform(0.5, 0.62) * (high - low), rng.uniform(-0.25, 0.15)
            y = np.arange(ny, dtype=np.float32)[:, None]
            height = z0 + tilt * (y - marks.axis[0]) + wave[nz // 2][None, :]
        rise = np.tan(np.deg2rad(rng.uniform(48, 62)))
        foot = marks.axis[0] - rng.uniform(35, 55) / mm
        for z in range(int(low), min(int(high), nz)):
            lung = canvas.lung[z][:, sides]
            if not lung.any():
                continue
            if level:
                away = (z - height)[:, sides]
                ahead = np.arange(ny)[:, None] < foot + (z - low) / rise
                share = np.exp(-np.square(away * mm / (thick + 0.3))) * ahead * gaps[z][None, sides]
            else:
                line = foot + (z - low) / rise + wave[z]
                away = (np.arange(ny, dtype=np.float32)[:, None] - line[None, sides]) * np.float32(np.sin(0.9))
                share = np.exp(-np.square(away * mm / thick)) * gaps[z][None, sides]
            part = canvas.hu[z][:, sides]
            part += share * bright * (lung >= 128) * (part < -600)


class _Specks:
    """Grain of tiny vessels: mostly faint, some bright, carried on from slice to slice."""

    def __init__(self, shape: tuple[int, int], mm: float, rng: np.random.Generator) -> None:
        pool = rng.standard_normal((24, *shape), dtype=np.float32)
        fine = ndimage.gaussian_filter(pool, (0.9 / mm, 0.9 / mm, 0.9 / mm), mode="wrap")
        fine /= fine.std()
        self.pool = fine + 0.9 * np.clip(fine - 1.6, 0, 4) ** 1.5 * 3
        self.moves = rng.integers(0, min(shape), (64, 2))

    def __call__(self, z: int) -> F32:
        shift = self.moves[z // 24 % 64]
        return np.roll(self.pool[z % 24], (int(shift[0]), int(shift[1])), (0, 1))


def vessels(canvas: Canvas, bolus: Bolus, rng: np.random.Generator) -> tuple[shapes.Box, F32]:
    """Paint veins, then arteries. Returns the box of the arteries and the blood in it, HU `[z, y, x]`."""
    mm = canvas.mm
    vein_box = _around(canvas.vein)
    alpha = canvas.vein[vein_box].astype(np.float32) / 255
    shape = (alpha.shape[0], alpha.shape[1], alpha.shape[2])
    blood = _mixed(bolus.plain, bolus.vein, shape, mm, bolus.mixing * 0.5, rng)
    canvas.paint(alpha, blood, vein_box, "vein")
    box = _around(canvas.artery)
    alpha = canvas.artery[box].astype(np.float32) / 255
    shape = (alpha.shape[0], alpha.shape[1], alpha.shape[2])
    blood = _mixed(bolus.plain, bolus.artery, shape, mm, bolus.mixing, rng)
    canvas.paint(alpha, blood, box, "artery")
    return box, blood


def _mixed(
    plain: float, bright: float, shape: tuple[int, int, int], mm: float, amplitude: float, rng: np.random.Generator
) -> F32:
    """Blood between plain and bright HU, unevenly mixed."""
    return np.asarray(plain + (bright - plain) * contrast.uneven(shape, mm, amplitude, rng), np.float32)


def _around(occupancy: U8) -> shapes.Box:
    box = ndimage.find_objects((occupancy > 0).view(np.uint8))[0]
    return box[0], box[1], box[2]
