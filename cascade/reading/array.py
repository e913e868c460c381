"""A numpy volume to a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cascade.core.errors import InputError
from cascade.core.grid import Grid
from cascade.core.study import Note, Study
from cascade.reading.hounsfield_check import oblique, without_offset
from cascade.reading.limits import MAXIMUM_VOXEL_MM


def from_array(
    hu: ArrayLike,
    affine: ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    *,
    facts: Mapping[str, Any] | None = None,
    warnings: Sequence[Note] = (),
) -> Study:
    """A study of a volume that is held already.

    Args:
        hu: Hounsfield units, three axes in any order; rounded half to even and clipped to int16.
        affine: `[4, 4]` from the array's indices, in its own order, to LPS millimetres.
        spacing: Instead of an affine: mm along `[z, y, x]` of an array that runs to the head, the back and the
            patient's left.
        facts: What is known of the source.
        warnings: What had to be remarked.

    Raises:
        InputError: E_NO_GEOMETRY, E_PIXEL_FORMAT, or E_NOT_HU: it has no air, and no usual offset explains that.
    """
    try:
        hu = np.asarray(hu)
    except ValueError as error:  # rows of several lengths
        raise InputError("E_PIXEL_FORMAT", "a volume must have rows of one length; give one CT volume") from error
    if hu.ndim != 3 or 0 in hu.shape or hu.dtype.kind not in "iufb":
        text = f"a volume must be a real array of three axes, got {hu.dtype} with shape {hu.shape}"
        raise InputError("E_PIXEL_FORMAT", f"{text}; give one CT volume")
    if (affine is None) == (spacing is None):
        raise InputError("E_NO_GEOMETRY", "an array has no place of its own; give either its affine or its spacing")
    if spacing is not None:
        sizes = np.atleast_1d(_numbers(spacing))
        if sizes.shape != (3,) or not (np.isfinite(sizes) & (sizes > 0)).all():
            raise InputError("E_NO_GEOMETRY", f"spacing must be three positive numbers in mm, got {spacing!r}")
        z, y, x = (float(size) for size in sizes)
        affine = Grid.simple((hu.shape[0], hu.shape[1], hu.shape[2]), (z, y, x)).affine
    grid = grid_of(hu.shape, _numbers(affine))
    values, notes = without_offset(to_int16(grid.to_grid(hu)), "the array")
    return Study(values, grid, dict(facts or {}), (), (*warnings, *notes, *oblique(grid, "the array")))


def _numbers(values: Any) -> NDArray[np.float64]:
    """What was given as an array of numbers; NaN for what holds something else."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array(np.nan)


def grid_of(shape: tuple[int, ...], affine: NDArray[np.float64]) -> Grid:
    """The grid of a source array, or a refusal.

    Raises:
        InputError: E_NO_GEOMETRY, the affine is not of three axes at right angles.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError("E_NO_GEOMETRY", f"the affine must be 4 x 4 finite numbers, got shape {affine.shape}")
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not ((lengths > 1e-3) & (lengths <= MAXIMUM_VOXEL_MM)).all():
        sizes = " x ".join(f"{length:.4g}" for length in lengths)
        text = f"the affine gives voxels of {sizes} mm, at most {MAXIMUM_VOXEL_MM:g} mm is read"
        raise InputError("E_NO_GEOMETRY", f"{text}; write it in millimetres, with its true spacing")
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise InputError("E_NO_GEOMETRY", "the affine's last row must be 0 0 0 1; it may stand transposed")
    cosines = (axes / lengths).T @ (axes / lengths)
    if np.abs(cosines - np.eye(3)).max() > 0.01:
        text = "the volume's axes are not at right angles (a tilted gantry?)"
        raise InputError("E_GANTRY_TILT", f"{text}; give an untilted reconstruction")
    return Grid.from_source(shape, affine)


def to_int16(values: NDArray[np.generic]) -> NDArray[np.int16]:
    """Values as int16 HU: rounded half to even, clipped; NaN (outside a scan, in NIfTI) becomes air."""
    if values.dtype == np.int16:
        return np.array(values, dtype=np.int16, order="C")
    if values.dtype.kind == "f":
        values = np.rint(np.nan_to_num(values, nan=-1024.0, posinf=32767, neginf=-1024))
    return np.asarray(np.clip(values, -32768, 32767), dtype=np.int16)
