"""Where voxels lie in the patient: grids, boxes and the order of axes. No pixels are kept here.

Array axes are always `[z, y, x]`: axis 0 towards the head, axis 1 towards the back, axis 2 towards the
patient's left. Millimetres are LPS (x to the left, y to the back, z to the head), as in DICOM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.patch import Patch

# LPS axis (0 = x, 1 = y, 2 = z) that each array axis follows.
_ANATOMICAL = (2, 1, 0)


@dataclass(frozen=True)
class Order:
    """How a source's array becomes `[z, y, x]`: by transposing and flipping only.

    Attributes:
        axes: For each of our axes, the source axis it comes from.
        flips: For each of our axes, whether it runs against the source axis.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring a source array into our order; a view, nothing is copied."""
        return array.transpose(self.axes)[self._reverse]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array of ours into the source's order; the inverse of `apply`."""
        return array[self._reverse].transpose(tuple(int(i) for i in np.argsort(self.axes)))

    @property
    def _reverse(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)


@dataclass(frozen=True)
class Box:
    """A box of voxels, half-open: `z0 <= z < z1` and so on."""

    z0: int
    z1: int
    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along `[z, y, x]`."""
        return self.z1 - self.z0, self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index that cuts this box out of an array of the grid."""
        return slice(self.z0, self.z1), slice(self.y0, self.y1), slice(self.x0, self.x1)

    def grow(self, voxels: tuple[int, int, int], shape: tuple[int, int, int]) -> Box:
        """This box widened on every side, and kept inside an array of `shape`."""
        (dz, dy, dx), (nz, ny, nx) = voxels, shape
        return Box(
            max(self.z0 - dz, 0),
            min(self.z1 + dz, nz),
            max(self.y0 - dy, 0),
            min(self.y1 + dy, ny),
            max(self.x0 - dx, 0),
            min(self.x1 + dx, nx),
        )

    def join(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            min(self.z0, other.z0),
            max(self.z1, other.z1),
            min(self.y0, other.y0),
            max(self.y1, other.y1),
            min(self.x0, other.x0),
            max(self.x1, other.x1),
        )

    @classmethod
    def around(cls, mask: NDArray[Any]) -> Box | None:
        """The smallest box around the non-zero voxels of `[z, y, x]`; None where there are none."""
        edges: list[int] = []
        for axis in range(3):
            hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
            if not hit.size:
                return None
            edges += [int(hit[0]), int(hit[-1]) + 1]
        return cls(*edges)


@dataclass(frozen=True, eq=False)
class Grid:
    """The place of an array `[z, y, x]` in the patient, and the way back to its source's order.

    Attributes:
        shape: Voxels along `[z, y, x]`.
        affine: float64 `[4, 4]` from array indices `(z, y, x, 1)` to LPS millimetres `(x, y, z, 1)`.
        order: How the source's array became ours.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    order: Order = Order()

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and self.order == other.order and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.order, self.affine.tobytes()))

    def __repr__(self) -> str:
        spacing = ", ".join(f"{s:.3f}" for s in self.spacing)
        origin = ", ".join(f"{v:.1f}" for v in self.affine[:3, 3])
        return f"Grid(shape={self.shape}, spacing=({spacing}) mm z-y-x, origin=({origin}) mm LPS)"

    @classmethod
    def from_source(cls, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Grid:
        """The grid for a source array, whatever its order of axes.

        Args:
            shape: The source array's shape.
            affine: `[4, 4]` from the source array's indices, in its own order, to LPS millimetres.

        Returns:
            The grid whose `order.apply(source_array)` is `[z, y, x]` as this module means it.
        """
        affine = np.asarray(affine, dtype=np.float64)
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        best = max(
            _permutations(), key=lambda p: sum(abs(directions[lps, a]) for lps, a in zip(_ANATOMICAL, p, strict=True))
        )
        flips = tuple(bool(directions[lps, a] < 0) for lps, a in zip(_ANATOMICAL, best, strict=True))
        ours = np.eye(4)
        ours[:3, 3] = affine[:3, 3]
        for axis, (a, flip) in enumerate(zip(best, flips, strict=True)):
            step = affine[:3, a]
            ours[:3, axis] = -step if flip else step
            if flip:
                ours[:3, 3] += step * (shape[a] - 1)
        z, y, x = (int(shape[a]) for a in best)
        return cls((z, y, x), ours, Order(best, (flips[0], flips[1], flips[2])))

    @classmethod
    def simple(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        origin: tuple[float, float, float] = (0, 0, 0),
    ) -> Grid:
        """An axial grid: spacing in mm `(z, y, x)`, origin in LPS mm `(x, y, z)` of the voxel `(0, 0, 0)`."""
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2] = spacing
        affine[:3, 3], affine[3, 3] = origin, 1
        return cls(shape, affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels in mm along `(z, y, x)`."""
        z, y, x = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return z, y, x

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def turned_degrees(self) -> float:
        """The largest angle between an axis and the direction in the patient that it stands for."""
        along = [abs(self.affine[lps, axis]) / self.spacing[axis] for axis, lps in enumerate(_ANATOMICAL)]
        return math.degrees(math.acos(min(*along, 1.0)))

    @property
    def source_shape(self) -> tuple[int, int, int]:
        """Shape of the source's array, in its own order."""
        z, y, x = (self.shape[int(i)] for i in np.argsort(self.order.axes))
        return z, y, x

    @property
    def source_affine(self) -> NDArray[np.float64]:
        """`[4, 4]` from the source array's indices, in its own order, to LPS millimetres."""
        corner = np.array([n - 1 if flip else 0 for n, flip in zip(self.shape, self.order.flips, strict=True)])
        source = np.eye(4)
        source[:3, 3] = self.affine[:3, :3] @ corner + self.affine[:3, 3]
        for axis, (a, flip) in enumerate(zip(self.order.axes, self.order.flips, strict=True)):
            source[:3, a] = -self.affine[:3, axis] if flip else self.affine[:3, axis]
        return source

    def to_source(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array on this grid, in the order of the source."""
        return np.ascontiguousarray(self.order.undo(array))

    def to_grid(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array in the order of the source, on this grid; the inverse of `to_source`."""
        return np.ascontiguousarray(self.order.apply(array))

    def to_mm(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """LPS millimetres `[..., 3]` (x, y, z) of voxel indices `[..., 3]` (z, y, x)."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, mm: NDArray[Any]) -> NDArray[np.float64]:
        """Voxel indices `[..., 3]` (z, y, x; fractions) of LPS millimetres `[..., 3]` (x, y, z)."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(mm, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T

    def along(self, axis: int, index: NDArray[Any] | float) -> NDArray[np.float64]:
        """Position in mm along an array axis: what strides and lattices are anchored to."""
        step = self.affine[:3, axis]
        unit = step / np.linalg.norm(step)
        return np.asarray(self.affine[:3, 3] @ unit + np.asarray(index, dtype=np.float64) * np.linalg.norm(step))

    @property
    def z_mm(self) -> NDArray[np.float64]:
        """Position of each slice in mm along the slice normal, towards the head. `[z]`."""
        return self.along(0, np.arange(self.shape[0]))

    def every(self, stride_mm: float, first: int = 0, last: int | None = None) -> list[int]:
        """Slices nearest to the multiples of `stride_mm`, from `first` up to but without `last`.

        Anchored in millimetres, so that cropping a study does not choose other slices. All slices where they
        lie further apart than the stride.
        """
        last = self.shape[0] if last is None else last
        z = self.z_mm
        cell = np.floor(z / stride_mm + 0.5)
        distance = np.abs(z - cell * stride_mm)
        chosen: list[int] = []
        for i in range(first, last):
            if chosen and cell[chosen[-1]] == cell[i]:
                if distance[i] < distance[chosen[-1]]:
                    chosen[-1] = i
            else:
                chosen.append(i)
        return chosen

    def patch(self, z: int, centre: tuple[float, float], pixel_mm: float, size: tuple[int, int]) -> Patch:
        """A lattice of `size` points `pixel_mm` apart on slice `z`, around a voxel `centre` (y, x).

        Its points lie at multiples of `pixel_mm` in the patient, so that cropping a study moves nothing.
        """
        first = [0.0, 0.0]
        step = (pixel_mm / self.spacing[1], pixel_mm / self.spacing[2])
        for i, axis in enumerate((1, 2)):
            corner_mm = float(self.along(axis, centre[i])) - pixel_mm * size[i] / 2
            snapped = round(corner_mm / pixel_mm) * pixel_mm
            first[i] = (snapped - float(self.along(axis, 0))) / self.spacing[axis]
        return Patch(z, first[0], first[1], step, size)

    def slab(self, z: int, count: int, distance_mm: float) -> list[dict[int, float]]:
        """`count` levels around slice `z`, `distance_mm` apart, feet to head, as weighted means of slices.

        Each level is the tent-weighted mean of the slices within `distance_mm` of it (nearest slice where there is
        none), so that thin noisy slices and thick smooth ones give levels of like thickness. The end slice repeats
        at the ends.
        """
        levels: list[dict[int, float]] = []
        for k in range(count):
            centre = z + (k - count // 2) * distance_mm / self.spacing[0]
            reach = distance_mm / self.spacing[0]
            weights = {
                i: 1 - abs(i - centre) / reach
                for i in range(math.ceil(centre - reach), math.floor(centre + reach) + 1)
                if 0 <= i < self.shape[0] and abs(i - centre) < reach - 1e-6
            }
            if not weights or self.spacing[0] >= distance_mm:
                weights = {min(max(round(centre), 0), self.shape[0] - 1): 1.0}
            total = sum(weights.values())
            levels.append({i: w / total for i, w in weights.items()})
        return levels


def _permutations() -> list[tuple[int, int, int]]:
    return [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
