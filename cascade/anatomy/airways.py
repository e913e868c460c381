"""Trachea and main bronchi on the lattice: followed from head to feet, so that they are not taken for lung."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.coarse import PIXEL_MM, Lattice
from cascade.anatomy.morphology import Mask, grown

_LARGEST_CM2 = 8.0  # A trachea has 1 to 5 cm2.
_SMALLEST_CM2 = 0.4
_OFF_CENTRE_MM = 45.0
_MERGED_MM = 60.0  # So far a bronchus is followed into the lung that it has no visible wall to.
_EMPTY_HU = -900.0  # Inside an airway; lung is denser.


def airways(lattice: Lattice, air: Mask) -> Mask:
    """Points of the trachea and the main bronchi, with their walls.

    An airway begins as a small round hole of pure air near the middle, and is what touches it on the next slice.

    Args:
        lattice: The study.
        air: Low points inside the body.
    """
    found = np.zeros_like(air)
    tissue = np.nonzero(lattice.hu > -300)[2]
    if not tissue.size:
        return found
    middle = float(np.median(tissue))
    before = np.zeros(air.shape[1:], bool)
    merged_mm = 0.0
    for k in range(len(lattice.z) - 1, -1, -1):
        now, merged = _on_slice(lattice.hu[k], air[k], before, middle, merged_mm < _MERGED_MM)
        if before.any():
            merged_mm += lattice.slab_mm * merged
            if now.sum() * PIXEL_MM**2 / 100 <= _SMALLEST_CM2:
                now[:] = False
        found[k] = before = now
    # Its wall is part air on the lattice.
    return np.stack([grown(plane) for plane in found])


def _on_slice(hu: NDArray[np.float32], air: Mask, before: Mask, middle: float, follow: bool) -> tuple[Mask, bool]:
    """The airway on one slice `[i, j]`, and whether it is a part of something much larger there."""
    _, labels, stats, centres = cv2.connectedComponentsWithStats(air.astype(np.uint8), connectivity=4)
    reach = grown(before)
    now = np.zeros_like(before)
    whole = 0
    for n in range(1, len(stats)):
        part = labels == n
        width, height = int(stats[n, cv2.CC_STAT_WIDTH]), int(stats[n, cv2.CC_STAT_HEIGHT])
        small = stats[n, cv2.CC_STAT_AREA] * PIXEL_MM**2 / 100 < _LARGEST_CM2
        central = abs(centres[n][0] - middle) * PIXEL_MM < _OFF_CENTRE_MM
        compact = max(width, height) < min(3 * min(width, height), 45 / PIXEL_MM)
        tracked = bool((part & reach).any())
        if small and central and compact and (tracked or float(np.percentile(hu[part], 25)) < _EMPTY_HU):
            now |= part
        elif tracked and follow:
            now |= part & reach & (hu < _EMPTY_HU)
        if (now & part).any():
            whole += int(stats[n, cv2.CC_STAT_AREA])
    return now, whole > 1.5 * now.sum()
