"""Shapes with soft edges and smooth noise, in voxels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Box = tuple[slice, slice, slice]
Points = NDArray[np.float64]


SPREAD = {1: 1.2, 2: 1.17, 3: 1.34}
"""Interpolation averages, so coarse normals start wider to end at a standard deviation of 1; by axes."""


def soft(distance: NDArray[np.floating] | NDArray[np.integer], width: float = 1.4) -> F32:
    """Occupancy 0..1 of a signed distance in voxels (negative inside), over an edge of `width` voxels."""
    return np.asarray(np.clip(0.5 - distance / np.float32(width), 0, 1), np.float32)


def box_around(shape: tuple[int, int, int], low: NDArray[np.floating], high: NDArray[np.floating]) -> Box | None:
    """The box of whole voxels that holds `low`..`high`, cut to `shape`; None where nothing is left."""
    a = np.maximum(np.floor(low).astype(int), 0)
    b = np.minimum(np.ceil(high).astype(int) + 1, shape)
    if np.any(b <= a):
        return None
    return slice(a[0], b[0]), slice(a[1], b[1]), slice(a[2], b[2])


def grid(box: Box) -> tuple[F32, F32, F32]:
    """Open coordinates (z, y, x) of a box's voxels."""
    z, y, x = np.ogrid[box]
    return z.astype(np.float32), y.astype(np.float32), x.astype(np.float32)


def ellipsoid(
    shape: tuple[int, int, int],
    centre: NDArray[np.floating],
    radii: NDArray[np.floating],
    axes: NDArray[np.floating] | None = None,
) -> tuple[Box, F32] | None:
    """Box and signed distance (about) of an ellipsoid; rows of `axes` are its unit axes."""
    reach = radii + 2 if axes is None else np.full(3, radii.max() + 2)
    box = box_around(shape, centre - reach, centre + reach)
    if box is None:
        return None
    z, y, x = grid(box)
    z, y, x = z - np.float32(centre[0]), y - np.float32(centre[1]), x - np.float32(centre[2])
    frame = np.eye(3) if axes is None else axes
    total = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), np.float32)
    for unit, radius in zip(frame.astype(np.float32), radii, strict=True):
        total += ((z * unit[0] + y * unit[1] + x * unit[2]) / np.float32(radius)) ** 2
    return box, (np.sqrt(total) - 1) * np.float32(radii.min())


def resample(points: NDArray[np.floating], step: float) -> tuple[Points, Points]:
    """Points `[n, 3]` about `step` apart along a polyline, and their place in it as a fractional index."""
    points = np.asarray(points, float)
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    at = np.linspace(0, length[-1], max(2, int(length[-1] / step) + 1))
    place = np.interp(at, length, np.arange(len(points)))
    return np.stack([np.interp(place, np.arange(len(points)), c) for c in points.T], axis=1), place


def curve(points: NDArray[np.floating], count: int = 40) -> Points:
    """A smooth curve (Catmull-Rom) through `points` `[n, 3]`."""
    points = np.asarray(points, float)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    at = np.linspace(0, len(points) - 1 - 1e-9, count)
    i = at.astype(int)
    t = (at - i)[:, None]
    a, b, c, d = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    return np.asarray(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))


def tube(
    shape: tuple[int, int, int],
    points: NDArray[np.floating],
    radii: NDArray[np.floating] | float,
    margin: float = 2.0,
) -> tuple[Box, F32] | None:
    """Box and signed distance to the union of balls along a polyline `[n, 3]` with radii `[n]`."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(points))
    balls, place = resample(points, max(0.5, 0.35 * float(radii.min())))
    sizes = np.interp(place, np.arange(len(points)), radii)
    reach = sizes[:, None] + margin
    box = box_around(shape, (balls - reach).min(0), (balls + reach).max(0))
    if box is None:
        return None
    origin = np.array([s.start for s in box])
    out = np.full([s.stop - s.start for s in box], np.float32(margin), np.float32)
    splat(out, balls - origin, sizes, margin)
    return box, out


def splat(distance: F32, points: NDArray[np.floating], radii: NDArray[np.floating], margin: float) -> None:
    """Lower `distance` `[z, y, x]` to the signed distance of each ball, as far as `margin` beyond it."""
    shape = np.array(distance.shape)
    for point, radius in zip(points, radii, strict=True):
        reach = radius + margin
        low = np.maximum(np.ceil(point - reach).astype(int), 0)
        high = np.minimum(np.floor(point + reach).astype(int) + 1, shape)
        if np.any(high <= low):
            continue
        z = (np.arange(low[0], high[0], dtype=np.float32) - np.float32(point[0])) ** 2
        y = (np.arange(low[1], high[1], dtype=np.float32) - np.float32(point[1])) ** 2
        x = (np.arange(low[2], high[2], dtype=np.float32) - np.float32(point[2])) ** 2
        part = distance[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        ball = np.sqrt(z[:, None, None] + (y[:, None] + x)) - np.float32(radius)
        np.minimum(part, ball, out=part)


def noise(shape: tuple[int, ...], size: float | tuple[float, ...], rng: np.random.Generator) -> F32:
    """Smooth noise with features of about `size` voxels, mean 0 and standard deviation near 1.

    Coarse normals are upsampled linearly: a few milliseconds where a wide Gaussian filter takes seconds.
    """
    sizes = (size,) * len(shape) if isinstance(size, int | float) else size
    coarse = tuple(max(2, int(np.ceil(n / s)) + 1) for n, s in zip(shape, sizes, strict=True))
    field = rng.standard_normal(coarse, dtype=np.float32) * np.float32(SPREAD[len(shape)])
    if len(shape) == 1:
        return np.asarray(np.interp(np.linspace(0, coarse[0] - 1, shape[0]), np.arange(coarse[0]), field), np.float32)
    if len(shape) == 2:
        return np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    planes = np.stack([cv2.resize(p, (shape[2], shape[1]), interpolation=cv2.INTER_CUBIC) for p in field])
    at = np.linspace(0, len(planes) - 1, shape[0])
    low = np.minimum(at.astype(int), len(planes) - 2)
    out = np.empty(shape, np.float32)
    for z, (i, f) in enumerate(zip(low, at - low, strict=True)):
        f = f * f * (3 - 2 * f)
        cv2.addWeighted(planes[i], 1 - f, planes[i + 1], f, 0, dst=out[z])
    return out


def unit(vector: NDArray[np.floating]) -> NDArray[np.float64]:
    """The vector at length 1."""
    return np.asarray(vector, float) / max(float(np.linalg.norm(vector)), 1e-9)


def random_axes(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random orthonormal frame `[3, 3]`."""
    return np.asarray(np.linalg.qr(rng.standard_normal((3, 3)))[0])
