"""A part of a study on an isotropic lattice of points, and back.

The lattice's points lie at multiples of its step in patient millimetres along each axis of the array, so that cropping,
flipping or transposing a study moves none of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cascade.core.grid import Box, Grid


@dataclass(frozen=True, eq=False)
class Isotropic:
    """Points of a lattice within a study's grid.

    Attributes:
        source: The study's grid.
        step_mm: Distance of neighbouring points.
        first: The first point along `[z, y, x]`, as a multiple of the step along each axis.
        shape: Points along `[z, y, x]`.
    """

    source: Grid
    step_mm: float
    first: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def over(cls, source: Grid, box: Box, step_mm: float) -> Isotropic:
        """The points from the first to the last voxel of a box: at least one along each axis, none beyond its voxels.

        Args:
            source: The study's grid.
            box: Voxels of it.
            step_mm: Distance of neighbouring points.
        """
        first: list[int] = []
        shape: list[int] = []
        for axis, (low, high) in enumerate(((box.z0, box.z1), (box.y0, box.y1), (box.x0, box.x1))):
            begin, end = (float(source.along(axis, i)) / step_mm for i in (low, high - 1))
            first.append(math.ceil(begin - 1e-6) if math.floor(end + 1e-6) >= begin - 1e-6 else round(begin))
            shape.append(max(math.floor(end + 1e-6) - first[-1] + 1, 1))
        return cls(source, step_mm, (first[0], first[1], first[2]), (shape[0], shape[1], shape[2]))

    def part(self, first: tuple[int, int, int], shape: tuple[int, int, int]) -> Isotropic:
        """Other points of the same lattice: from `first` (multiples of the step) on, `shape` of them."""
        return replace(self, first=first, shape=shape)

    @property
    def grid(self) -> Grid:
        """The lattice as a grid of its own, whose voxels are the points."""
        affine = np.array(self.source.affine)
        affine[:3, :3] *= self.step_mm / np.array(self.source.spacing)
        affine[:3, 3] = self.source.to_mm(np.array([self._voxels(axis)[0] for axis in range(3)]))
        return Grid(self.shape, affine)

    def crop(self, array: NDArray[Any], fill: float | None = None) -> NDArray[np.float32]:
        """An array `[z, y, x]` of the source's grid at the points: float32 of the lattice's shape.

        Each point is the tent-weighted mean of the voxels within one step, or within one voxel where voxels lie
        further apart: thin noisy slices and thick smooth ones give points of like thickness.

        Args:
            array: HU, or any values of the grid's shape.
            fill: Value of points beyond the voxels; that of the nearest voxel without one.
        """
        reach = [max(self.step_mm / spacing, 1.0) for spacing in self.source.spacing]
        tents = [_tents(v, r, n) for v, r, n in zip(self.voxels, reach, self.source.shape, strict=True)]
        touched = [slice(int(one.indices.min()), int(one.indices.max()) + 1) for one in tents]
        out: NDArray[Any] = array[touched[0], touched[1], touched[2]]
        for axis, (one, span) in enumerate(zip(tents, touched, strict=True)):
            out = _along(one[:, span], out, axis)
        if fill is not None:
            for axis, (voxels, length) in enumerate(zip(self.voxels, self.source.shape, strict=True)):
                np.moveaxis(out, axis, 0)[(voxels < -0.5) | (voxels > length - 0.5)] = fill
        return np.ascontiguousarray(out, dtype=np.float32)

    def paste(self, values: NDArray[Any], box: Box) -> NDArray[np.float32]:
        """Values at the points, brought to the voxels of a box linearly; beyond the last point they stay as there.

        Args:
            values: `[z, y, x]` of the lattice's shape.
            box: Voxels of the source's grid.
        """
        out: NDArray[Any] = values
        for axis, (low, high) in enumerate(((box.z0, box.z1), (box.y0, box.y1), (box.x0, box.x1))):
            at = self.source.along(axis, np.arange(low, high)) / self.step_mm - self.first[axis]
            out = _along(_tents(np.clip(at, 0, self.shape[axis] - 1), 1.0, self.shape[axis]), out, axis)
        return np.ascontiguousarray(out, dtype=np.float32)

    @property
    def voxels(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Where the points lie along `[z, y, x]` of the source, voxels (with fractions)."""
        return self._voxels(0), self._voxels(1), self._voxels(2)

    def _voxels(self, axis: int) -> NDArray[np.float64]:
        mm = self.step_mm * (self.first[axis] + np.arange(self.shape[axis]))
        return np.asarray((mm - float(self.source.along(axis, 0))) / self.source.spacing[axis], np.float64)


def _tents(centres: NDArray[np.float64], reach: float, length: int) -> sparse.csr_array:
    """Weights `[centre, element]` that fall linearly from each centre to 0 at `reach`, and sum to 1."""
    span = np.arange(-math.ceil(reach), math.ceil(reach) + 1)
    elements = np.rint(centres)[:, None].astype(int) + span[None, :]
    weights = np.maximum(1 - np.abs(elements - centres[:, None]) / reach, 0)
    weights[(elements < 0) | (elements >= length)] = 0
    nearest = np.clip(np.rint(centres).astype(int), 0, length - 1)
    lost = weights.sum(axis=1) < 1e-9
    weights[lost, span.size // 2], elements[lost, span.size // 2] = 1, nearest[lost]
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(len(centres))[:, None], weights.shape)
    kept = weights > 0
    entries = (weights[kept].astype(np.float32), (rows[kept], elements[kept]))
    return sparse.csr_array(entries, shape=(len(centres), length))


def _along(weights: sparse.csr_array, array: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """Apply weights `[point, element]` along one axis of `[z, y, x]`."""
    part = np.moveaxis(array, axis, 0).astype(np.float32)
    out = weights @ part.reshape(len(part), -1)
    return np.moveaxis(np.asarray(out, np.float32).reshape(-1, *part.shape[1:]), 0, axis)
