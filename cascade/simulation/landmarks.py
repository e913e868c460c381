"""Where things lie in a chest, read off its lungs and vessels: midline, spine, hull, diaphragm, heart."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.simulation.canvas import Canvas
from cascade.simulation.shapes import F32, Points

BINS = 1440
"""Directions of the polar tables around the chest's axis."""


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Places in canvas voxels (z, y, x); tables are `[z]` or `[z, direction]`.

    Attributes:
        axis: The axis (y, x) that polar tables turn around.
        direction: Nearest bin of each voxel's direction, intp `[y, x]`; 0 points to the patient's left,
            a quarter on to the back.
        radius: Distance of each voxel from the axis, float32 `[y, x]`.
        hull: Radius of the convex hull of both lungs, float32 `[z, direction]`.
        wide: The hull as wide as it gets nearby: what the outer chest follows, `[z, direction]`.
        spine: Centre of the vertebral bodies (y, x) of each slice, `[z, 2]`.
        spine_radius: Room for the vertebral body, `[z]`.
        lung_z: Lowest and highest slice with lung.
        right: Voxels of the right half of the lungs, bool `[z, y, x]` on the coarse grid.
        step: Canvas voxels in one voxel of the coarse grid.
        lung: Lungs on the coarse grid, bool `[z, y, x]`.
        diaphragm: Height of the diaphragm below which the abdomen lies, float32 `[y, x]` on the coarse grid.
        trunk: Where the pulmonary trunk begins (its lowest front).
        fork: Where the trunk divides.
        atrium: Middle of the left atrium.
        atrium_radius: Its largest inscribed ball, voxels.
        hila: Right and left hilum: where main arteries enter the lungs.
    """

    axis: tuple[float, float]
    direction: NDArray[np.intp]
    radius: F32
    hull: F32
    wide: F32
    spine: Points
    spine_radius: NDArray[np.float64]
    lung_z: tuple[int, int]
    right: NDArray[np.bool_]
    step: int
    lung: NDArray[np.bool_]
    diaphragm: F32
    trunk: Points
    fork: Points
    atrium: Points
    atrium_radius: float
    hila: tuple[Points, Points]


def find(canvas: Canvas) -> Landmarks:
    """Read the landmarks off a canvas whose lungs, arteries and veins are laid."""
    mm = canvas.mm
    step = max(1, round(3.0 / mm))
    lung = coarse(canvas.lung, step)
    zs = np.flatnonzero(lung.any((1, 2)))
    if zs.size < 3:
        raise ValueError("no lungs on the canvas")
    right = _right(lung)
    ys = np.nonzero(lung.any(0))[0]
    spine, room = _spine(lung, right, step, mm, canvas.shape[0])
    axis = (float(np.percentile(ys, 45)) * step, float(np.median(spine[:, 1])))
    direction, radius = _polar(canvas.shape, axis)
    hull = _hull(lung, step, axis, canvas.shape[0], mm)
    span = max(3, int(90 / mm) | 1)
    wide = ndimage.maximum_filter1d(hull, 2 * span + 1, axis=0, mode="nearest")
    wide = ndimage.gaussian_filter(wide, (25 / mm, 10), mode=("nearest", "wrap"))
    artery, vein = coarse(canvas.artery, step), coarse(canvas.vein, step)
    trunk, fork = _trunk(artery, spine, step, mm)
    atrium, atrium_radius = _deepest(vein & ~lung, step)
    hila = _hila(artery, lung, right, fork, step)
    dome = _diaphragm(lung, right, spine, float(atrium[0]), step, mm)
    return Landmarks(
        axis, direction, radius, hull, wide, spine, room, (int(zs[0]) * step, int(zs[-1] + 1) * step - 1), right,
        step, lung, dome, trunk, fork, atrium, atrium_radius, hila,
    )  # fmt: skip


def coarse(occupancy: NDArray[np.uint8], step: int) -> NDArray[np.bool_]:
    """Where at least half of the middle of each block of `step` voxels is full, bool `[z, y, x]`."""
    nz, ny, nx = (n // step for n in occupancy.shape)
    half = step // 2
    planes = occupancy[half : nz * step : step]
    out = np.empty((nz, ny, nx), bool)
    for z in range(nz):
        out[z] = cv2.resize(planes[z][: ny * step, : nx * step], (nx, ny), interpolation=cv2.INTER_AREA) >= 128
    return out


def _right(lung: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Split the coarse lungs into right (low x) and left, by components or else at the middle."""
    for erosions in (0, 1, 2, 3):
        cores = ndimage.binary_erosion(lung, iterations=erosions) if erosions else lung
        parts, count = ndimage.label(cores)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        first, second = np.argsort(sizes)[::-1][:2] + 1
        if sizes[second - 1] < 0.2 * sizes[first - 1]:
            continue
        two = np.where(parts == first, 1, np.where(parts == second, 2, 0))
        nearest = ndimage.distance_transform_edt(two == 0, return_distances=False, return_indices=True)
        owner = two[tuple(nearest)]
        x = [np.nonzero(two == k)[2].mean() for k in (1, 2)]
        return np.asarray(lung & (owner == (1 if x[0] < x[1] else 2)))
    middle = np.nonzero(lung)[2].mean()
    return np.asarray(lung & (np.arange(lung.shape[2]) < middle))


def _spine(
    lung: NDArray[np.bool_], right: NDArray[np.bool_], step: int, mm: float, count: int
) -> tuple[Points, NDArray[np.float64]]:
    """Centre (y, x) and room of the vertebral body: between the lungs, in front of their hindmost edge."""
    rows: list[tuple[float, float, float, float]] = []
    left = lung & ~right
    for z in np.flatnonzero(right.any((1, 2)) & left.any((1, 2))):
        backs = [np.nonzero(side[z].any(1))[0].max() for side in (right, left)]
        back = min(backs) * step
        y = back - 24 / mm
        window = slice(max(int((y - 12 / mm) / step), 0), max(int((y + 14 / mm) / step), 1))
        r, l_ = np.nonzero(right[z, window].any(0))[0], np.nonzero(left[z, window].any(0))[0]
        if r.size and l_.size and l_.min() > r.max():
            rows.append((float(z * step), y, (r.max() + 1 + l_.min()) / 2 * step, (l_.min() - r.max() - 1) * step / 2))
    if len(rows) < 3:
        _, yy, xx = (a * step for a in np.nonzero(lung))
        y, x = float(np.percentile(yy, 80)), float(xx.mean())
        return np.tile([y, x], (count, 1)), np.full(count, 16 / mm)
    table = np.array(rows)
    at = np.arange(count)
    out = []
    for i in (1, 2, 3):
        values = ndimage.median_filter(table[:, i], 9, mode="nearest")
        out.append(ndimage.gaussian_filter1d(np.interp(at, table[:, 0], values), 18 / mm, mode="nearest"))
    room = np.clip(out[2] - 2.5 / mm, 12 / mm, 18 / mm)
    return np.stack(out[:2], axis=1), room


def _polar(shape: tuple[int, int, int], axis: tuple[float, float]) -> tuple[NDArray[np.intp], F32]:
    y = np.arange(shape[1], dtype=np.float32)[:, None] - np.float32(axis[0])
    x = np.arange(shape[2], dtype=np.float32)[None, :] - np.float32(axis[1])
    angle = np.arctan2(y, x) % (2 * np.pi)
    return (np.rint(angle / (2 * np.pi) * BINS).astype(np.intp) % BINS), np.hypot(y, x)


def _hull(lung: NDArray[np.bool_], step: int, axis: tuple[float, float], count: int, mm: float) -> F32:
    """Radius of the lungs' convex hull in each direction, smoothed; it goes on below and closes above."""
    bins = np.arange(BINS) / BINS * 2 * np.pi
    rows, at = [], []
    for z in np.flatnonzero(lung.any((1, 2))):
        pixels = cv2.findNonZero(lung[z].astype(np.uint8))
        if len(pixels) < 12:
            continue
        ring = cv2.convexHull(pixels)[:, 0].astype(float) * step + (step - 1) / 2
        ring = np.vstack([ring, ring[:1]])
        dense = np.concatenate([np.linspace(a, b, 30, endpoint=False) for a, b in itertools.pairwise(ring)])
        dy, dx = dense[:, 1] - axis[0], dense[:, 0] - axis[1]
        angle, radius = np.arctan2(dy, dx) % (2 * np.pi), np.hypot(dy, dx)
        if cv2.pointPolygonTest(ring.astype(np.float32).reshape(-1, 1, 2), (axis[1], axis[0]), False) < 0:
            continue
        order = np.argsort(angle)
        rows.append(np.interp(bins, angle[order], radius[order], period=2 * np.pi))
        at.append(z * step)
    if not rows:
        raise ValueError("the lungs have no common hull around the chest's axis")
    table, known = np.array(rows), np.array(at)
    table = np.maximum(table, np.where(known < np.median(known), 0.92, 0.0)[:, None] * table.max(0))
    low = np.clip(np.searchsorted(known, np.arange(count)) - 1, 0, len(known) - 1)
    high = np.clip(low + 1, 0, len(known) - 1)
    gap = np.maximum(known[high] - known[low], 1)
    f = np.clip((np.arange(count) - known[low]) / gap, 0, 1)[:, None]
    full = (1 - f) * table[low] + f * table[high]
    above = np.maximum(np.arange(count) - known[-1], 0)[:, None] * mm
    full = full * np.clip(1 - above / 60, 0.35, 1)
    return ndimage.gaussian_filter(full, (5 / mm, 8), mode=("nearest", "wrap")).astype(np.float32)


def _deepest(mask: NDArray[np.bool_], step: int) -> tuple[Points, float]:
    """Middle and radius of the largest ball inside the coarse mask, in canvas voxels."""
    depth = ndimage.distance_transform_edt(mask)
    at = np.array(np.unravel_index(int(depth.argmax()), mask.shape), float)
    return at * step + (step - 1) / 2, float(depth.max()) * step


def _trunk(artery: NDArray[np.bool_], spine: Points, step: int, mm: float) -> tuple[Points, Points]:
    """Where the trunk begins and where it divides."""
    depth = ndimage.distance_transform_edt(artery)
    thick = depth * step * mm >= max(4.0, 0.55 * float(depth.max()) * step * mm)
    parts, _ = ndimage.label(thick)
    thick = parts == parts[np.unravel_index(int(depth.argmax()), depth.shape)]
    points = np.argwhere(thick).astype(float)
    middle = float(np.median(spine[:, 1])) / step
    score = points[:, 1] + 0.7 * points[:, 0] - 0.1 * points[:, 2]
    start = points[score <= np.percentile(score, 4)].mean(0)
    near = points[np.abs(points[:, 2] - middle - 8 / mm / step) <= 10 / mm / step]
    fork = near[near[:, 1] >= np.percentile(near[:, 1], 50)].mean(0) if len(near) > 3 else points.mean(0)
    shift = (step - 1) / 2
    return start * step + shift, fork * step + shift


def _hila(
    artery: NDArray[np.bool_], lung: NDArray[np.bool_], right: NDArray[np.bool_], fork: Points, step: int
) -> tuple[Points, Points]:
    """Middle of the arteries within 60 mm of the fork that touch each lung."""
    out = []
    for side in (right, lung & ~right):
        rim = artery & ndimage.binary_dilation(side, iterations=2)
        points = np.argwhere(rim) * step + (step - 1) / 2
        if not len(points):
            points = np.argwhere(side) * step + (step - 1) / 2
        distance = np.linalg.norm(points - fork, axis=1)
        near = points[distance <= np.percentile(distance, 12)]
        out.append(near.mean(0))
    return out[0], out[1]


def _diaphragm(
    lung: NDArray[np.bool_], right: NDArray[np.bool_], spine: Points, atrium_z: float, step: int, mm: float
) -> F32:
    """Height (canvas voxels) of the diaphragm in each coarse column, smooth across the middle."""
    height, seen = np.full(lung.shape[1:], np.nan), np.asarray(lung.any(0))
    height[seen] = lung.argmax(0)[seen] * step
    middle = float(np.median(spine[:, 1])) / step
    x = np.arange(lung.shape[2])[None, :] - middle
    # Near the wall a column's lowest lung voxel says where the wall leans, not where the diaphragm is.
    deep = ndimage.binary_erosion(seen, iterations=max(1, round(16 / mm / step)))
    lateral_right = deep & right.any(0) & (x < -44 / mm / step)
    lateral_left = deep & (x > 66 / mm / step)
    dome = float(np.percentile(height[lateral_right], 90)) if lateral_right.sum() > 20 else float(np.nanmedian(height))
    left_dome = float(np.percentile(height[lateral_left], 88)) if lateral_left.sum() > 20 else dome
    left_dome = min(max(left_dome, dome - 30 / mm), dome + 5 / mm)
    trusted = lateral_right | lateral_left
    capped = np.minimum(height, np.where(x < 0, dome, left_dome))
    weight = trusted.astype(np.float64)
    sigma = 14 / mm / step
    value = ndimage.gaussian_filter(np.where(trusted, capped, 0.0), sigma)
    weight = ndimage.gaussian_filter(weight, sigma)
    dome, left_dome = min(dome, atrium_z - 30 / mm), min(left_dome, atrium_z - 35 / mm)
    between = dome + (left_dome - dome) * np.clip((x + 50 / mm / step) / (120 / mm / step), 0, 1) - 4 / mm
    strength = np.clip(weight / 0.35, 0, 1)
    smooth = np.where(weight > 1e-4, value / np.maximum(weight, 1e-4), 0.0)
    return np.asarray(strength * smooth + (1 - strength) * between, np.float32)
