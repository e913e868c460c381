"""One NRRD file to a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.study import Study
from cascade.reading.limits import MAX_VOXELS, check
from cascade.reading.volume import RAS_TO_LPS, volume_study

_SPACES = {
    "left-posterior-superior": np.eye(4),
    "lps": np.eye(4),
    "right-anterior-superior": RAS_TO_LPS,
    "ras": RAS_TO_LPS,
}

_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}


def read_nrrd(path: Path) -> Study:
    """Read a volume in HU from a .nrrd file that holds its own data, whatever its name.

    Raises:
        InputError: E_PIXEL_FORMAT, E_NO_GEOMETRY, E_TRUNCATED, E_NOT_HU or E_LIMIT.
    """
    values, affine = open_nrrd(path)
    return volume_study(values, affine, (1.0, 0.0), "NRRD")


def open_nrrd(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """The values `[slice, row, column]` of a .nrrd file, and the affine from these indices to LPS mm.

    Raises:
        InputError: E_PIXEL_FORMAT, E_NO_GEOMETRY, E_TRUNCATED or E_LIMIT.
    """
    import nrrd

    try:
        with path.open("rb") as file:
            header: dict[str, Any] = dict(nrrd.read_header(file))
            if any(key in header for key in ("data file", "datafile")):
                text = "the NRRD keeps its voxels in another file"
                raise InputError("E_PIXEL_FORMAT", f"{text}; give one .nrrd file with header and data together")
            sizes = [int(n) for n in np.atleast_1d(header.get("sizes", []))]
            if len(sizes) != 3 or min(sizes) < 1:
                raise InputError("E_PIXEL_FORMAT", f"the NRRD has sizes {sizes}; give one volume of three axes")
            check("voxels", int(np.prod([float(n) for n in sizes])), MAX_VOXELS)
            affine = _affine(header)
            values = nrrd.read_data(header, file, str(path), index_order="C")
    except InputError:
        raise
    except Exception as error:  # pynrrd raises its own and numpy's errors on broken files
        text = f"the NRRD ends early or its header cannot be read ({type(error).__name__})"
        raise InputError("E_TRUNCATED", f"{text}; copy it again") from error
    return values, affine


def _affine(header: dict[str, Any]) -> NDArray[np.float64]:
    """From `(slice, row, column)` to LPS mm."""
    space = str(header.get("space", "")).strip().lower()
    if space not in _SPACES or "space directions" not in header:
        text = f"the NRRD states space {space or '(none)'!r}"
        raise InputError("E_NO_GEOMETRY", f"{text}; it must be left-posterior-superior or RAS, with directions")
    directions = np.asarray(header["space directions"], dtype=np.float64)
    if directions.shape != (3, 3) or not np.isfinite(directions).all():
        raise InputError("E_NO_GEOMETRY", "the NRRD lacks one of its three space directions; write it again")
    affine = np.eye(4)
    affine[:3, :3] = directions[::-1].T  # rows of the header are the file's axes, fastest first
    affine[:3, 3] = np.asarray(header.get("space origin", [0, 0, 0]), dtype=np.float64)
    affine[:3] *= _in_mm(header)
    return np.asarray(_SPACES[space] @ affine)


def _in_mm(header: dict[str, Any]) -> float:
    """Millimetres of the header's unit; one that is not stated is taken for this."""
    units = header.get("space units")
    known = {str(unit).strip().strip('"') for unit in ([] if units is None else units)}
    if not known or known == {"???"} or known == {""}:
        return 1.0
    if len(known) > 1 or not known <= set(_MM):
        raise InputError("E_NO_GEOMETRY", f"the NRRD's space units are {sorted(known)}; write it in mm")
    return _MM[known.pop()]
