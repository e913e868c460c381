"""An anatomy from a seed alone: lungs by formula, arteries and veins that divide until they fill them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.simulation import shapes
from cascade.simulation.anatomy import ARTERY, LUNG, VEIN, Anatomy
from cascade.simulation.canvas import upsample
from cascade.simulation.shapes import F32, Points

SIZE = (270, 236, 316)
"""Voxels of 1 mm `[z, y, x]`."""
MURRAY = 2.8
"""Exponent of r_parent^m = sum r_child^m; Murray's law says 3, airways and arteries of the lung measure 2.6 to 3."""


def build(rng: np.random.Generator, tips: int = 330) -> Anatomy:
    """Grow an anatomy: `tips` ends of arteries in each lung, and as many of veins."""
    right, left = _lungs(rng)
    shape = np.array(SIZE, float)
    middle = (shape - 1) / 2
    fork = np.array([shape[0] * 0.56, middle[1] - 6, middle[2] + 6]) + rng.normal(0, 3, 3)
    trunk = fork + np.array([-40, -46, 12]) + rng.normal(0, 3, 3)
    atrium = fork + np.array([-42, 14, -4]) + rng.normal(0, 2, 3)
    r_main = rng.uniform(8.0, 10.5)
    tip = rng.uniform(0.85, 1.05)
    artery = np.full(SIZE, np.float32(2.0))
    vein = np.full(SIZE, np.float32(2.0))
    _line(artery, np.array([trunk, 0.5 * (trunk + fork) + [0, -8, 2], fork]), np.array([14.5, 14.0, 12.0]))
    for lung, side in ((right, -1.0), (left, 1.0)):
        hilum = (
            fork + np.array([-6.0 if side < 0 else 4.0, 6.0 if side < 0 else 14.0, side * 46.0]) + rng.normal(0, 2, 3)
        )
        _line(
            artery,
            np.array([fork, 0.5 * (fork + hilum) + [2, -2, 0], hilum]),
            np.array([r_main * 1.1, r_main, r_main * 0.9]),
        )
        points = _points(lung, tips, rng)
        _grow(artery, hilum, shapes.unit(np.array([-0.7, 0.4, side * 0.6])), points, tip, r_main * 0.9, rng)
        points = _points(lung, tips, rng)
        cut = np.median(points[:, 0])
        for part, dz in ((points[points[:, 0] >= cut], 14.0), (points[points[:, 0] < cut], -10.0)):
            mouth = atrium + np.array([dz, -4.0 if dz > 0 else 8.0, side * 48.0])
            _line(vein, np.array([atrium + np.array([dz * 0.5, 0, side * 20.0]), mouth]), np.array([8.0, 6.5]))
            _grow(vein, mouth, shapes.unit(np.array([dz / 20, -0.2, side])), part, tip, 6.5, rng)
    got = shapes.ellipsoid((SIZE[0], SIZE[1], SIZE[2]), atrium, np.array([24.0, 19.0, 33.0]))
    if got is not None:
        np.minimum(vein[got[0]], got[1], out=vein[got[0]])
    labels = np.zeros(SIZE, np.uint8)
    labels[right | left] = LUNG
    labels[(vein <= 0) & (artery > 0.6)] = VEIN
    labels[artery <= 0] = ARTERY
    return Anatomy(labels, (1.0, 1.0, 1.0), "procedural")


def _lungs(rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Right and left lung, bool `[z, y, x]`, each a signed field made on a grid of 3 mm."""
    step = 3
    z, y, x = np.meshgrid(*(np.arange(0, n, step, dtype=np.float32) for n in SIZE), indexing="ij")
    middle = (np.array(SIZE) - 1) / 2
    y, x = y - np.float32(middle[1]), x - np.float32(middle[2])
    h = (z - 6) / (SIZE[0] - 16)
    heart = np.sqrt(((z - 92) / 62) ** 2 + ((y + 32) / 52) ** 2 + ((x - 18) / rng.uniform(56, 66)) ** 2)
    wobble = shapes.noise(z.shape, 30, rng) * 2.0
    out = []
    for side in (-1.0, 1.0):
        u = x * side  # grows outwards
        width = rng.uniform(132, 146)
        narrow = 1 - np.clip((h - 0.42) / 0.62, 0, 1) ** 2.3 * 0.72
        depth = rng.uniform(94, 106) * narrow
        outer = (np.abs(u / (width * narrow)) ** 2.3 + np.abs(y / depth) ** 2.5) ** (1 / 2.4)
        field = (1 - outer) * 60
        lift = 0.0 if side < 0 else -8.0
        dome = 92 + lift - 70 * ((u - 75) / 70) ** 2 - 62 * ((y - 4) / 90) ** 2
        field = np.minimum(field, (z - np.maximum(dome, 4)) * 0.8)
        gap = 26 + 14 * np.exp(-((y / 30) ** 2)) - 20 * np.clip((-y - 45) / 40, 0, 1) - 6 * np.clip((y - 50) / 30, 0, 1)
        field = np.minimum(field, u - np.maximum(gap, 5))
        field = np.minimum(field, (heart - 1) * 50)
        field = np.minimum(field, (1.0 - h) * 80 - 4)
        fine = upsample(
            np.asarray(field + wobble, np.float32), (z.shape[0] * step, z.shape[1] * step, z.shape[2] * step)
        )
        out.append(fine[: SIZE[0], : SIZE[1], : SIZE[2]] > 0)
    padded = []
    for lung in out:
        full = np.zeros(SIZE, bool)
        full[: lung.shape[0], : lung.shape[1], : lung.shape[2]] = lung
        padded.append(full)
    return padded[0], padded[1]


def _points(lung: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Points:
    """Ends spread over a lung, 4 mm and more inside it."""
    disc = np.ones((9, 9), np.uint8)
    inner = np.stack([cv2.erode(p.astype(np.uint8), disc) for p in lung[::2]])
    places = np.argwhere(inner).astype(float)
    chosen = places[rng.choice(len(places), min(count, len(places)), replace=False)]
    return np.asarray(chosen * [2, 1, 1] + rng.uniform(-0.5, 0.5, chosen.shape))


def _grow(
    distance: F32,
    start: Points,
    heading: Points,
    points: Points,
    tip: float,
    root_radius: float,
    rng: np.random.Generator,
) -> None:
    """Divide the points in two again and again; each half is reached by a branch of Murray's radius."""
    stack = [(start, heading, points, root_radius)]
    while stack:
        at, way, cloud, radius = stack.pop()
        if len(cloud) == 0:
            continue
        if len(cloud) == 1:
            _line(distance, _bowed(at, cloud[0], rng), np.array([radius, max(radius * 0.9, tip * 0.9), tip * 0.9]))
            continue
        spread = cloud - cloud.mean(0)
        spread = spread - np.outer(spread @ way, way)
        axis = np.linalg.svd(spread[:400], full_matrices=False)[2][0] + rng.normal(0, 0.15, 3)
        along = spread @ axis
        cut = np.quantile(along, rng.uniform(0.32, 0.68))
        for half in (cloud[along < cut], cloud[along >= cut]):
            if len(half) == 0:
                continue
            goal = half.mean(0) - at
            length = float(np.linalg.norm(goal))
            turn = shapes.unit(0.35 * way + 0.65 * shapes.unit(goal))
            end = at + turn * max(0.38 * length, min(length, 3.0))
            child = min(tip * len(half) ** (1 / MURRAY), radius * 0.97)
            _line(distance, _bowed(at, end, rng), np.array([min(radius, child * 1.2), child, child]))
            stack.append((end, shapes.unit(end - at), half, child))


def _bowed(a: Points, b: Points, rng: np.random.Generator) -> Points:
    middle = 0.5 * (a + b) + rng.normal(0, 0.04, 3) * np.linalg.norm(b - a)
    return np.array([a, middle, b])


def _line(distance: F32, points: Points, radii: NDArray[np.float64]) -> None:
    balls, place = shapes.resample(points, 0.9)
    shapes.splat(distance, balls, np.interp(place, np.arange(len(points)), radii), 1.2)
