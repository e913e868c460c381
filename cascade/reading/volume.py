"""What NIfTI and NRRD share: a volume and its affine to a study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.study import Note, Study
from cascade.reading.array import grid_of, to_int16
from cascade.reading.hounsfield_check import oblique, without_offset
from cascade.reading.limits import FEW_SLICES, SMALL_FIELD_MM
from cascade.reading.pixels import clear_border

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_study(
    values: NDArray[np.generic], affine: NDArray[np.float64], scale: tuple[float, float], kind: str
) -> Study:
    """A study of a stored volume.

    Args:
        values: In the file's memory order, slowest axis first.
        affine: From indices in that order to LPS mm.
        scale: Slope and intercept of the file.
        kind: Name of the format, for messages and facts.
    """
    label = f"the {kind}"
    grid = grid_of(values.shape, affine)
    hu = np.empty(grid.shape, dtype=np.int16)
    ours = grid.order.apply(values)
    slope, intercept = scale
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        raise InputError("E_NOT_HU", f"{label} has slope {slope} and intercept {intercept}; write it in HU")
    for z in range(len(hu)):
        plane = ours[z]
        if scale != (1.0, 0.0):
            plane = plane.astype(np.float64) * slope + intercept
        hu[z] = clear_border(to_int16(plane))
    hu, notes = without_offset(hu, label)
    notes += oblique(grid, label)
    spacing = grid.spacing
    field = min(grid.shape[1] * spacing[1], grid.shape[2] * spacing[2])
    if field < SMALL_FIELD_MM:
        notes.append(Note("W_SMALL_FOV", f"{label} is {field:.0f} mm wide: less than a chest"))
    if grid.shape[0] < FEW_SLICES:
        notes.append(Note("W_FEW_SLICES", f"{label} has {grid.shape[0]} slices, a decision needs {FEW_SLICES}"))
    facts = {"format": kind, "series": {"number": None, "why_chosen": "the only volume"}}
    return Study(hu, grid, facts, (), tuple(notes))
