"""Whether numbers can be Hounsfield units, judged by where air and body lie in their histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.grid import Grid
from cascade.core.study import Note
from cascade.reading.limits import OBLIQUE_DEGREES

_OFFSETS = (0, -1024, -8192)


def fitting_offset(values: NDArray[np.generic]) -> int | None:
    """The one offset of 0, -1024 and -8192 that makes HU of a volume; None where none or several do.

    Air mode A is the lowest 8-HU bin with over 2 % of the voxels, body mode S the highest bin in A + 800 ..
    A + 1250 (fat as often as muscle). Measured: 5 of 5 real volumes right, as they are and with 1024 added.
    """
    sample = np.asarray(values).reshape(-1)[::4].astype(np.int32)
    sample = sample[sample > -1150]
    if not sample.size:
        return None
    low = int(sample.min()) // 8 * 8
    counts = np.bincount((sample - low) // 8)
    common = np.flatnonzero(counts > 0.02 * sample.size)
    if not common.size:
        return None
    air = low + 8 * int(common[0])
    first, last = (int(common[0]) + 100, int(common[0]) + 157)
    window = counts[first:last]
    if not window.size or not window.max():
        return None
    body = low + 8 * (first + int(window.argmax()))
    fits = [o for o in _OFFSETS if -1060 <= air + o <= -700 and -140 <= body + o <= 150 and 750 <= body - air <= 1250]
    return fits[0] if len(fits) == 1 else None


def without_offset(hu: NDArray[np.int16], label: str, rescaled: bool = True) -> tuple[NDArray[np.int16], list[Note]]:
    """Take away an offset that was left in, in place.

    Args:
        hu: `[z, y, x]`, writable.
        label: How messages name the volume.
        rescaled: The source stated a rescale. Without one, an offset must be found; with one, a volume is
            looked at only where it holds no air at all.

    Raises:
        InputError: E_NOT_HU.
    """
    if rescaled and int(hu.min()) < -200:
        return hu, []
    offset = fitting_offset(hu)
    if offset is None:
        text = f"the values of {label} ({hu.min()} to {hu.max()}) cannot be told to be Hounsfield units"
        raise InputError("E_NOT_HU", f"{text}; export CT with its rescale, or convert to HU first")
    if offset:
        for plane in hu:
            plane[...] = np.clip(plane.astype(np.int32) + offset, -32768, 32767)
    if not rescaled:
        text = f"{label} states no usable rescale; slope 1 and intercept {offset} fit (up to 24 HU too low)"
        return hu, [Note("W_RESCALE_ASSUMED", text)]
    if offset:
        return hu, [
            Note("W_OFFSET_FIXED", f"{label} was stored {-offset} too high; that was taken away (up to 24 HU too low)")
        ]
    return hu, []


def oblique(grid: Grid, label: str) -> list[Note]:
    """A remark on a volume whose axes do not run along the patient: the networks learned from axial slices."""
    if grid.turned_degrees <= OBLIQUE_DEGREES:
        return []
    text = f"the axes of {label} are turned by {grid.turned_degrees:.0f} degrees from the patient's"
    return [Note("W_OBLIQUE", f"{text}; the networks learned from axial slices")]


def refuse_inverted(hu: NDArray[np.int16], label: str) -> None:
    """Refuse a volume `[z, y, x]` whose rim is brighter than its middle: air must be dark.

    Raises:
        InputError: E_NOT_HU.
    """
    plane = hu[len(hu) // 2]
    rows, columns = plane.shape
    rim = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    middle = plane[rows // 3 : -rows // 3, columns // 3 : -columns // 3]
    if middle.size and np.median(rim) >= np.median(middle):
        text = f"{label} is stored for inverted display, and its air is bright"
        raise InputError("E_NOT_HU", f"{text}; export it as MONOCHROME2 with its rescale")
