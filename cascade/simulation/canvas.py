"""The canvas: tissue in HU on an isotropic grid, painted layer over layer with soft edges."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.simulation import shapes
from cascade.simulation.shapes import F32, U8, Box

LABELS = {
    "artery": 1, "vein": 2, "lung": 3, "airway": 4, "heart": 5, "aorta": 6, "cava": 7, "oesophagus": 8,
    "bone": 9, "node": 10, "liver": 11, "spleen": 12, "stomach": 13, "azygos": 14,
    "consolidation": 15, "effusion": 16, "body": 17,
}  # fmt: skip


@dataclasses.dataclass
class Canvas:
    """A chest in the making.

    Attributes:
        hu: Tissue, float32 `[z, y, x]`, HU.
        labels: Anatomy, uint8 `[z, y, x]`, numbers of `LABELS`.
        artery: Occupancy of arteries, uint8 `[z, y, x]`, 255 is full.
        vein: Likewise of veins.
        lung: Likewise of lung, the vessels in it included.
        mm: Voxel size, mm.
    """

    hu: F32
    labels: U8
    artery: U8
    vein: U8
    lung: U8
    mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels on each axis `[z, y, x]`."""
        z, y, x = self.hu.shape
        return z, y, x

    def paint(self, alpha: NDArray[np.floating], value: float | F32, box: Box, label: str | None = None) -> None:
        """Lay `value` HU over the tissue in `box`, mixed by `alpha` 0..1 (both of the box's shape)."""
        part = self.hu[box]
        part += alpha.astype(np.float32, copy=False) * (value - part)
        if label is not None:
            self.labels[box][alpha >= 0.5] = LABELS[label]

    def paint_tube(
        self,
        points: NDArray[np.floating],
        radii: NDArray[np.floating] | float,
        value: float,
        label: str | None = None,
        wall: tuple[float, float] | None = None,
    ) -> None:
        """Paint a tube along `points` `[n, 3]` (z, y, x in voxels) of `radii` mm; wall is (mm, HU)."""
        thick = wall[0] if wall else 0.0
        got = shapes.tube(self.shape, points, np.asarray(radii, float) / self.mm, margin=2.0 + thick / self.mm)
        if got is None:
            return
        box, distance = got
        if wall:
            self.paint(shapes.soft(distance - thick / self.mm), wall[1], box)
        self.paint(shapes.soft(distance), value, box, label)

    def paint_ellipsoid(
        self,
        centre: NDArray[np.floating],
        radii: NDArray[np.floating],
        value: float,
        label: str | None = None,
        axes: NDArray[np.floating] | None = None,
        only: tuple[str, ...] = (),
    ) -> None:
        """Paint an ellipsoid at `centre` (z, y, x in voxels) of `radii` mm, turned by `axes` `[3, 3]`.

        Where `only` names labels, nothing else is painted over.
        """
        got = shapes.ellipsoid(self.shape, centre, np.asarray(radii, float) / self.mm, axes)
        if got is None:
            return
        alpha = shapes.soft(got[1])
        if only:
            alpha = alpha * np.isin(self.labels[got[0]], [0, *(LABELS[n] for n in only)])
        self.paint(alpha, value, got[0], label)


def upsample(coarse: F32, shape: tuple[int, int, int]) -> F32:
    """Linear upsampling of a coarse `[z, y, x]` field whose ends lie on the ends of `shape`."""
    planes = np.stack([cv2.resize(p, (shape[2], shape[1]), interpolation=cv2.INTER_LINEAR) for p in coarse])
    at = np.clip((np.arange(shape[0]) + 0.5) * len(coarse) / shape[0] - 0.5, 0, len(coarse) - 1)
    low = np.minimum(at.astype(int), max(len(coarse) - 2, 0))
    high = np.minimum(low + 1, len(coarse) - 1)
    weight = (at - low).astype(np.float32)
    out = np.empty(shape, np.float32)
    for z in range(shape[0]):
        cv2.addWeighted(planes[low[z]], 1 - float(weight[z]), planes[high[z]], float(weight[z]), 0, dst=out[z])
    return out
