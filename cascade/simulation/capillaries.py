"""Thin vessels of the lung: what a label map leaves out, grown from its vessels to just below the pleura."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cascade.simulation.canvas import Canvas
from cascade.simulation.contrast import Bolus
from cascade.simulation.landmarks import Landmarks
from cascade.simulation.shapes import Points

GENERATIONS = ((0.22, 0.80, 0.42, 56), (0.9, 0.52, 0.30, 40), (2.6, 0.38, 0.20, 26))
"""Of each generation: vessels a ml of lung, radius where it leaves and where it ends, mm, and samples along it."""

LONGEST_MM, LEAST_MM = 55.0, 3.0


def paint(canvas: Canvas, marks: Landmarks, bolus: Bolus, rng: np.random.Generator) -> None:
    """Lay thin vessels into the lungs; HU alone change, for no label map would name them."""
    mm = canvas.mm
    lung = np.argwhere(marks.lung)
    if len(lung) < 100:
        return
    ml = len(lung) * (marks.step * mm) ** 3 / 1000
    vessel = np.maximum(canvas.artery[::2, ::2, ::2], canvas.vein[::2, ::2, ::2]) >= 128
    trunks = np.argwhere(vessel & (canvas.lung[::2, ::2, ::2] >= 128)) * 2.0
    if len(trunks) < 100:
        return
    hila = np.stack(marks.hila).astype(np.float64)
    much = rng.uniform(0.5, 1.25)
    known: Points = trunks[rng.random(len(trunks)) < 0.5].astype(np.float64)
    points, area, blood = [], [], []
    for count, wide, narrow, samples in GENERATIONS:
        n = int(much * count * ml)
        tips = lung[rng.integers(0, len(lung), n)] * marks.step + rng.uniform(0, marks.step, (n, 3))
        ways, share = _grow(tips, known, hila, samples, mm, rng)
        if not len(ways):
            continue
        radius = np.interp(share, (0, 1), (wide, narrow)) * rng.uniform(0.75, 1.25, (len(ways), 1))
        step = np.linalg.norm(np.diff(ways, axis=1), axis=2).mean(axis=1) * mm  # mm between neighbouring samples
        area.append((np.pi * radius**2 * step[:, None] / mm**3).ravel())
        level = np.where(rng.random(len(ways)) < 0.5, bolus.artery, bolus.vein)
        blood.append(np.repeat(level, samples))
        points.append(ways.reshape(-1, 3))
        known = np.concatenate([known, ways[:, ::3].reshape(-1, 3)])
    if points:
        _lay(canvas, np.concatenate(points), np.concatenate(area), np.concatenate(blood))


def _grow(
    tips: Points, known: Points, hila: Points, samples: int, mm: float, rng: np.random.Generator
) -> tuple[Points, NDArray[np.float64]]:
    """Ways `[n, m, 3]` from vessels that are there to `tips`, and how far along each sample is, 0..1."""
    near = hila[np.linalg.norm(tips[:, None] - hila[None], axis=2).argmin(axis=1)]
    inward = near - tips
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-6)
    # Asking a little nearer to the hilum makes branches leave at an acute angle.
    tree = cKDTree(known)
    first = np.asarray(tree.query(tips, workers=1)[0])
    start = known[np.asarray(tree.query(tips + 0.6 * first[:, None] * inward, workers=1)[1])]
    length = np.linalg.norm(tips - start, axis=1) * mm
    keep = (length > LEAST_MM) & (length < LONGEST_MM)
    tips, start, length = tips[keep], start[keep], length[keep]
    bend = rng.normal(0, 0.09, (len(tips), 3)) * (length / mm)[:, None]
    share = np.linspace(0, 1, samples)
    t = share[None, :, None]
    ways = start[:, None] * (1 - t) + tips[:, None] * t + bend[:, None] * (4 * t * (1 - t))
    ways += (rng.normal(0, 0.03, (len(tips), 1, 3)) * (length / mm)[:, None, None]) * np.sin(2 * np.pi * t)
    return ways, share


def _lay(canvas: Canvas, points: Points, area: NDArray[np.float64], blood: NDArray[np.float64]) -> None:
    """Add each sample's blood to the eight voxels around it, where there is lung."""
    shape = np.array(canvas.shape)
    low = np.floor(points).astype(np.intp)
    inside = ((low >= 0) & (low < shape - 1)).all(axis=1)
    low, part, area, blood = low[inside], (points - low)[inside], area[inside], blood[inside]
    at, share = [], []
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.abs(1 - np.array(corner) - part), axis=1) * area
        at.append(np.ravel_multi_index(tuple((low + corner).T), canvas.shape))
        share.append(weight)
    places, inverse = np.unique(np.concatenate(at), return_inverse=True)
    filled = np.bincount(inverse, np.concatenate(share))
    bright = np.bincount(inverse, np.concatenate(share) * np.tile(blood, 8))
    level = bright / np.maximum(filled, 1e-9)
    hu, lung = canvas.hu.reshape(-1), canvas.lung.reshape(-1)
    before = hu[places]
    alpha = np.clip(filled, 0, 0.9) * lung[places] / 255
    hu[places] = np.maximum(before, before + alpha * (level - before))
