"""Slices without lung, made: heads, necks, abdomens and limbs in outline, lungs filled up, gas in the bowel.

The few real slices without lung at hand show four patients. What a filter must not learn from them is that gas in a
body is lung, or that a rib cage is. These pictures are rough; they only have to be as unlike lung as the real thing.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.windows import AIR_HU

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


def field(shape: tuple[int, int], rng: np.random.Generator, points: float) -> Plane:
    """Smooth noise of mean 0 and deviation 1 with structures about `points` wide, `[y, x]`."""
    coarse = tuple(max(int(n / points) + 2, 3) for n in shape)
    noise = rng.normal(0, 1, coarse).astype(np.float32)
    smooth = np.asarray(cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), dtype=np.float32)


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float], angle: float = 0) -> Mask:
    """Points of an ellipse: centre and radii (y, x) in points, turned by `angle` degrees."""
    out = np.zeros(shape, dtype=np.uint8)
    middle = (round(centre[1]), round(centre[0]))
    axes = (max(round(radii[1]), 1), max(round(radii[0]), 1))
    cv2.ellipse(out, middle, axes, angle, 0, 360, 1, -1)
    return out > 0


def organs(shape: tuple[int, int], rng: np.random.Generator, pixel_mm: float) -> Plane:
    """Soft tissue with the patchwork of abdominal organs, or nearly all liver, HU."""
    patches = field(shape, rng, rng.uniform(20, 60) / pixel_mm)
    levels = np.sort(rng.uniform(10, 150, 3))
    if rng.random() < 0.4:
        levels = levels[1] + np.array([-8, 0, 8])
    hu = np.select([patches < -0.5, patches < 0.6], [levels[0], levels[1]], levels[2]).astype(np.float32)
    fat = field(shape, rng, rng.uniform(8, 25) / pixel_mm) > rng.uniform(0.6, 2)
    hu[fat] = rng.uniform(-120, -80)
    return np.asarray(hu + rng.normal(0, rng.uniform(5, 25), shape), dtype=np.float32)


def fill_lungs(hu: Plane, lungs: Mask, pixel_mm: float, rng: np.random.Generator) -> Plane:
    """A chest with organs where the lungs and airways were: ribs and skin as in a real scan, no lung."""
    wide = cv2.dilate((lungs).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # What is left of vessels and airways inside goes too.
    closed = cv2.morphologyEx(wide.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    soft = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), 0.8)
    return np.asarray(hu * (1 - soft) + organs((hu.shape[0], hu.shape[1]), rng, pixel_mm) * soft, dtype=np.float32)


def add_gas(hu: Plane, pixel_mm: float, rng: np.random.Generator, most: int = 6) -> Plane:
    """Gas in bowel and stomach: round pockets with a wall and often a level of fluid, or speckled stool."""
    hu = hu.copy()
    shape = (hu.shape[0], hu.shape[1])
    tissue = ((hu > -150) & (hu < 250)).astype(np.uint8)
    inside = np.argwhere(cv2.erode(tissue, np.ones((7, 7), np.uint8)) > 0)
    if not len(inside):
        return hu
    for _ in range(int(rng.integers(1, most + 1))):
        centre = inside[rng.integers(len(inside))]
        radius = float(np.exp(rng.uniform(np.log(6), np.log(40)))) / pixel_mm
        loop = ellipse(shape, (centre[0], centre[1]), (radius, radius * rng.uniform(0.5, 2)), rng.uniform(0, 180))
        # Haustra: the outline waves.
        loop &= field(shape, rng, max(radius * 0.7, 2)) > -1.2
        loop &= cv2.dilate(tissue, np.ones((3, 3), np.uint8)) > 0
        if not loop.any():
            continue
        hu[cv2.dilate(loop.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = rng.uniform(20, 90)
        content = np.full(shape, rng.uniform(-1010, -900), dtype=np.float32)
        kind = rng.random()
        if kind < 0.4:
            rows = np.flatnonzero(loop.any(axis=1))
            level = rng.uniform(rows[0], rows[-1])
            content[np.arange(shape[0]) > level] = rng.choice([rng.uniform(-10, 50), rng.uniform(150, 500)])
        elif kind < 0.6:
            content = -450 + 350 * field(shape, rng, rng.uniform(2, 6) / pixel_mm).clip(-1.5, 1.2)
        hu[loop] = content[loop] + rng.normal(0, 12, int(loop.sum()))
    return np.asarray(hu, dtype=np.float32)


def head(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> Plane:
    """A head: skull, brain, and on lower slices sinuses, mastoid cells and an airway."""
    hu = np.full(shape, AIR_HU, dtype=np.float32)
    y, x = shape[0] / 2 + rng.uniform(-20, 20) / pixel_mm, shape[1] / 2 + rng.uniform(-20, 20) / pixel_mm
    ry, rx = rng.uniform(80, 105) / pixel_mm, rng.uniform(62, 82) / pixel_mm
    scalp, bone = rng.uniform(3, 7) / pixel_mm, rng.uniform(4, 9) / pixel_mm
    for shrink, value in ((0, rng.uniform(-60, 60)), (scalp, rng.uniform(700, 1400)), (scalp + bone, 35)):
        hu[ellipse(shape, (y, x), (ry - shrink, rx - shrink))] = value
    brain = ellipse(shape, (y, x), (ry - scalp - bone, rx - scalp - bone))
    hu[brain] += 5 * field(shape, rng, 15 / pixel_mm)[brain]
    if rng.random() < 0.5:
        # The level of the skull base: bone with air cells in front, and by the ears.
        base = brain & (field(shape, rng, 12 / pixel_mm) > 0.3)
        hu[base] = rng.uniform(300, 1200)
        for place in ((-0.6, -0.2), (-0.6, 0.2), (-0.3, 0.0), (0.2, -0.8), (0.2, 0.8)):
            cell = (y + place[0] * ry, x + place[1] * rx)
            size = (rng.uniform(4, 18) / pixel_mm, rng.uniform(4, 14) / pixel_mm)
            cells = ellipse(shape, cell, size) & (field(shape, rng, 3) > rng.uniform(-2, 0))
            hu[cells] = rng.uniform(-1000, -850)
    if rng.random() < 0.5:
        rest = ellipse(shape, (y + 0.15 * ry, x), (ry * 1.15, rx * 1.2)) & ~ellipse(
            shape, (y, x), (ry * 1.08, rx * 1.1)
        )
        rest[: round(y)] = False
        hu[rest] = rng.uniform(-900, -300)
    return hu


def neck(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> Plane:
    """A neck: muscles, spine, airway; sometimes with shoulders."""
    hu = np.full(shape, AIR_HU, dtype=np.float32)
    y, x = shape[0] / 2, shape[1] / 2
    body = ellipse(shape, (y, x), (rng.uniform(50, 75) / pixel_mm, rng.uniform(55, 85) / pixel_mm))
    if rng.random() < 0.4:
        body |= ellipse(
            shape, (y + 20 / pixel_mm, x), (rng.uniform(45, 70) / pixel_mm, rng.uniform(150, 220) / pixel_mm)
        )
    hu[body] = organs(shape, rng, pixel_mm)[body]
    _skin(hu, body, rng.uniform(3, 15) / pixel_mm)
    spine = ellipse(shape, (y + 18 / pixel_mm, x), (14 / pixel_mm, 16 / pixel_mm))
    hu[spine] = rng.uniform(200, 700)
    airway = ellipse(shape, (y - rng.uniform(10, 30) / pixel_mm, x), tuple(rng.uniform(6, 13, 2) / pixel_mm))
    hu[airway] = rng.uniform(-1010, -950)
    return hu


def abdomen(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> Plane:
    """An abdomen or pelvis: fat, organs, spine, sometimes hip bones and arms, and gas in the bowel."""
    hu = np.full(shape, AIR_HU, dtype=np.float32)
    y, x = shape[0] / 2, shape[1] / 2
    ry, rx = rng.uniform(90, 145) / pixel_mm, rng.uniform(130, 200) / pixel_mm
    body = ellipse(shape, (y, x), (ry, rx))
    hu[body] = organs(shape, rng, pixel_mm)[body]
    _skin(hu, body, rng.uniform(8, 45) / pixel_mm)
    hu[ellipse(shape, (y + 0.45 * ry, x), (18 / pixel_mm, 22 / pixel_mm))] = rng.uniform(150, 500)
    if rng.random() < 0.4:
        for side in (-1, 1):
            wing = ellipse(
                shape, (y + 0.2 * ry, x + side * 0.55 * rx), (0.35 * ry, 0.08 * rx), side * rng.uniform(0, 40)
            )
            hu[wing] = rng.uniform(250, 900)
    if rng.random() < 0.3:
        for side in (-1, 1):
            arm = (y + rng.uniform(-0.3, 0.5) * ry, x + side * (rx + 35 / pixel_mm))
            hu[ellipse(shape, arm, (32 / pixel_mm, 30 / pixel_mm))] = rng.uniform(-60, 50)
            hu[ellipse(shape, arm, (11 / pixel_mm, 11 / pixel_mm))] = rng.uniform(500, 1200)
    return add_gas(hu, pixel_mm, rng, most=10) if rng.random() < 0.8 else hu


def limbs(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> Plane:
    """Two limbs, or nothing but air."""
    hu = np.full(shape, AIR_HU, dtype=np.float32)
    if rng.random() < 0.2:
        return hu
    radius = rng.uniform(30, 85) / pixel_mm
    for side in (-1, 1):
        middle = (shape[0] / 2, shape[1] / 2 + side * radius * rng.uniform(1.02, 1.4))
        hu[ellipse(shape, middle, (radius, radius))] = -100
        hu[ellipse(shape, middle, (0.8 * radius, 0.8 * radius))] = rng.uniform(20, 80)
        hu[ellipse(shape, middle, (0.22 * radius, 0.22 * radius))] = rng.uniform(600, 1500)
    return hu


KINDS: dict[str, Callable[[tuple[int, int], float, np.random.Generator], Plane]] = {
    "head": head,
    "neck": neck,
    "abdomen": abdomen,
    "limbs": limbs,
}
_HOW_OFTEN = {"head": 0.3, "neck": 0.15, "abdomen": 0.45, "limbs": 0.1}


def make(shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator) -> Plane:
    """One slice without lung, `[y, x]` in HU, with a table under it half of the time."""
    name = str(rng.choice(list(_HOW_OFTEN), p=list(_HOW_OFTEN.values())))
    hu = KINDS[name](shape, pixel_mm, rng)
    if rng.random() < 0.5:
        top = shape[0] / 2 + rng.uniform(80, 150) / pixel_mm
        rows = np.arange(shape[0])[:, None] + np.zeros((1, shape[1]))
        air = hu < -900
        hu[air & (np.abs(rows - top) < 1.5)] = rng.uniform(-600, -100)
        hu[air & (rows - top >= 1.5) & (rows - top < 30 / pixel_mm)] = rng.uniform(-980, -850)
    noise = rng.normal(0, rng.uniform(3, 25), shape)
    return np.asarray(cv2.GaussianBlur(hu, (0, 0), 0.7) + noise, dtype=np.float32)


def _skin(hu: Plane, body: Mask, points: float) -> None:
    """A layer of fat under the skin, in place."""
    depth = cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 3)
    hu[body & (depth < points)] = -100
    hu[body & (depth < 1.5)] = 0
