"""Where a network looks: a lattice of points on one slice, and the way there and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.windows import AIR_HU


@dataclass(frozen=True)
class Patch:
    """A sample's place: a square lattice of points on one slice.

    Point `(i, j)` of the lattice lies at voxel `(y + i * step_y, x + j * step_x)` of slice `z`.

    Attributes:
        z: Slice index.
        y: Row of the first point, voxels (fractions allowed).
        x: Column of the first point, voxels.
        step: Distance of neighbouring points along y and x, voxels.
        size: Number of points along y and x.
    """

    z: int
    y: float
    x: float
    step: tuple[float, float]
    size: tuple[int, int]

    def crop(self, plane: NDArray[Any], fill: float = AIR_HU) -> NDArray[np.float32]:
        """Sample a slice `[y, x]` at this patch's points; `fill` outside the slice.

        Where the lattice is coarser than the voxels, the slice is smoothed first, so that noise and thin
        vessels are averaged instead of picked.
        """
        plane, patch = self._reach(plane)
        source: NDArray[Any] = np.ascontiguousarray(plane, dtype=np.float32)
        # A Gaussian of half the widening of the point spread: full width at half maximum near one step.
        sigma = [0.5 * np.sqrt(max(s * s - 1.0, 0.0)) for s in self.step]
        if max(sigma) > 0.25:
            source = cv2.GaussianBlur(
                source, (0, 0), sigmaX=max(sigma[1], 0.05), sigmaY=max(sigma[0], 0.05), borderType=cv2.BORDER_REPLICATE
            )
        return patch._warp(source, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, fill)

    def crop_labels(self, plane: NDArray[Any]) -> NDArray[np.uint8]:
        """Sample a slice of labels `[y, x]` by nearest neighbour; 0 outside the slice."""
        source = np.ascontiguousarray(plane, dtype=np.uint8)
        warped = self._warp(source, cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, 0)
        return np.asarray(warped, dtype=np.uint8)

    def paste(self, sample: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float32]:
        """Bring values on the lattice `[i, j]` back to voxels: rows y0..y1, columns x0..x1, linearly."""
        matrix = np.array(
            [
                [1 / self.step[1], 0, (columns[0] - self.x) / self.step[1]],
                [0, 1 / self.step[0], (rows[0] - self.y) / self.step[0]],
            ]
        )
        source = np.ascontiguousarray(sample, dtype=np.float32)
        size = (columns[1] - columns[0], rows[1] - rows[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(source, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        return np.asarray(warped, dtype=np.float32)

    def _reach(self, plane: NDArray[Any]) -> tuple[NDArray[Any], Patch]:
        """The part of a slice that the points and their smoothing reach, and this patch on that part."""
        ends: list[tuple[int, int]] = []
        for first, step, size, length in zip((self.y, self.x), self.step, self.size, plane.shape, strict=True):
            margin = 2 + math.ceil(3 * step)
            low = min(max(math.floor(first) - margin, 0), length - 1)
            ends.append((low, max(min(math.ceil(first + step * size) + margin, length), low + 1)))
        (top, bottom), (left, right) = ends
        moved = replace(self, y=self.y - top, x=self.x - left)
        return plane[top:bottom, left:right], moved

    def _warp(self, source: NDArray[Any], flags: int, fill: float) -> NDArray[np.float32]:
        matrix = np.array([[self.step[1], 0, self.x], [0, self.step[0], self.y]], dtype=np.float64)
        size = (self.size[1], self.size[0])
        warped = cv2.warpAffine(source, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
        return np.asarray(warped)
