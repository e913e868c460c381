"""A volume of labels, NIfTI or NRRD, with the place that its own header gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.grid import Grid
from cascade.reading.array import grid_of
from cascade.reading.kind import kind_of

HIGHEST = 65535


def read_labels(path: Path) -> tuple[NDArray[np.unsignedinteger[Any]], Grid]:
    """Whole numbers from 0 on, and where they lie.

    Returns:
        uint8 or uint16 `[z, y, x]` on the grid; `grid.to_source` gives the file's own order `[slice, row, column]`.

    Raises:
        InputError: As for a study; E_NOT_FOUND; E_NOT_LABELS, the values are no whole numbers from 0 to 65535.
    """
    kind = kind_of(path)
    scale = (1.0, 0.0)
    if kind == "nifti":
        from cascade.reading.nifti import open_nifti

        values, affine, scale = open_nifti(path)
    elif kind == "nrrd":
        from cascade.reading.nrrd import open_nrrd

        values, affine = open_nrrd(path)
    else:
        raise InputError("E_UNKNOWN_FORMAT", f"{path.name} is no volume of labels; give a NIfTI or an NRRD file")
    grid = grid_of(values.shape, affine)
    ours = np.asarray(grid.to_grid(values))
    if scale != (1.0, 0.0):
        ours = ours * scale[0] + scale[1]
    low, high = float(ours.min()), float(ours.max())
    whole = ours.dtype.kind in "iu" or (np.isfinite([low, high]).all() and np.array_equal(ours, np.rint(ours)))
    if not whole or low < 0 or high > HIGHEST:
        text = f"{path.name} holds values from {low:g} to {high:g}"
        raise InputError("E_NOT_LABELS", f"{text}; labels are whole numbers, 0 where there is nothing: write a mask")
    return ours.astype(np.uint8 if high <= 255 else np.uint16), grid
