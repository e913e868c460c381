"""A study on a coarse lattice, and the air and the body in it, without knowing what lungs are.

The lattice has points every 2.5 mm, anchored in patient millimetres: cropping a study moves none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.morphology import Mask, components, disc, grown, largest, opened
from cascade.core.study import Study
from cascade.core.windows import AIR_HU

AIR_THRESHOLD_HU = -500
"""Lung lies below, tissue above."""

PIXEL_MM = 2.5
"""Distance of the lattice's points in the slice, and the least distance of its slices."""

_SEED_HU = -930.0  # Outside air at the edge of the picture; lung that the edge cuts is denser.


@dataclass(frozen=True, eq=False)
class Lattice:
    """A study on the lattice.

    Attributes:
        hu: Float32 `[k, i, j]`.
        valid: Points with a measured value, bool `[k, i, j]`; the others lie outside the study or in its padding.
        z: The study's slice of each `k`.
        slab_mm: Height of the patient that one `k` stands for.
        origin: The study's row and column of the first point, voxels.
        step: Distance of the points along rows and columns, voxels.
    """

    hu: NDArray[np.float32]
    valid: Mask
    z: list[int]
    slab_mm: float
    origin: tuple[float, float]
    step: tuple[float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume that a point stands for."""
        return PIXEL_MM**2 * self.slab_mm / 1000

    @property
    def height_cm(self) -> float:
        """How far the study reaches from feet to head."""
        return self.slab_mm * len(self.z) / 10


def on_lattice(study: Study, every_mm: float = PIXEL_MM) -> Lattice:
    """A study on the lattice, on the slices nearest to multiples of `every_mm`."""
    grid = study.grid
    _, ny, nx = grid.shape
    size = (
        int(np.ceil(ny * grid.spacing[1] / PIXEL_MM)) + 2,
        int(np.ceil(nx * grid.spacing[2] / PIXEL_MM)) + 2,
    )
    chosen = grid.every(every_mm)
    patches = [grid.patch(z, ((ny - 1) / 2, (nx - 1) / 2), PIXEL_MM, size) for z in chosen]
    hu = np.stack([patch.crop(np.maximum(study.hu[patch.z], AIR_HU), fill=AIR_HU) for patch in patches])
    first = patches[0]
    rows = first.y + np.arange(size[0]) * first.step[0]
    columns = first.x + np.arange(size[1]) * first.step[1]
    inside = ((rows >= 0) & (rows <= ny - 1))[:, None] & ((columns >= 0) & (columns <= nx - 1))[None, :]
    # Padding outside the scan circle lies below air, or at the lowest value that unsigned storage allows.
    padding = (hu < AIR_HU + 0.01) | ~inside
    valid = ~np.stack([grown(plane) for plane in padding])
    slab = grid.spacing[0] * grid.shape[0] / len(chosen)
    return Lattice(hu, valid, chosen, slab, (first.y, first.x), first.step)


def flood(lattice: Lattice, passable: Mask) -> Mask:
    """Points that outside air reaches through `passable`, slice by slice.

    Lung that the edge of the picture cuts touches it too: on a short stretch, and with few points as empty as air.
    """
    beyond = ~lattice.valid
    reached = np.zeros_like(passable)
    for k, plane in enumerate(passable & lattice.valid):
        near = plane & grown(beyond[k])
        count, labels = cv2.connectedComponents(plane.astype(np.uint8), connectivity=4)
        contact = np.bincount(labels[near], minlength=count)
        empty = np.bincount(labels[near & (lattice.hu[k] < _SEED_HU)], minlength=count)
        stretch = contact / np.sqrt(np.maximum(np.bincount(labels.ravel(), minlength=count), 1))
        reached[k] = ((contact > 0) & ((empty >= 0.3 * contact) | (stretch > 3)))[labels]
    return reached


def inner_air(lattice: Lattice) -> Mask:
    """Low points that outside air does not reach, and that are not the inside of a table."""
    low = lattice.valid & (lattice.hu < AIR_THRESHOLD_HU)
    inner = low & ~flood(lattice, low)
    # Walls thinner than 5 mm are no body: what air reaches through them is a table or a hollow pad, as long as it
    # reaches most of it (a thin chest wall on a few slices keeps its lung).
    wall = opened(lattice.hu > -400, np.ones((2, 2), np.uint8))
    soft = flood(lattice, ~wall)
    labels, sizes = components(inner, 6)
    leaked = np.bincount(labels[soft], minlength=len(sizes)) / np.maximum(sizes, 1)
    keep = leaked < 0.7
    keep[0] = False
    return np.asarray(keep[labels])


def body(lattice: Lattice) -> Mask:
    """The patient without table and clothes: tissue and inner air, opened, the largest part."""
    inside = lattice.valid & ((lattice.hu > -300) | inner_air(lattice))
    return largest(opened(inside, disc(4)), 6)
