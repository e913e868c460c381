"""What dense contrast and metal do to the picture around them."""

from __future__ import annotations

import cv2
import numpy as np

from cascade.simulation.shapes import F32

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
