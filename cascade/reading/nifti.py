"""One NIfTI file to a study."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.study import Study
from cascade.reading.limits import MAX_VOXELS, check
from cascade.reading.volume import RAS_TO_LPS, volume_study

_MM = {"meter": 1000.0, "micron": 0.001}
_PAIRS = (b"ni1", b"ni2")


def read_nifti(path: Path) -> Study:
    """Read a volume in HU from .nii or .nii.gz, whatever its name.

    Raises:
        InputError: E_PIXEL_FORMAT, E_NO_GEOMETRY, E_TRUNCATED, E_NOT_HU or E_LIMIT.
    """
    return volume_study(*open_nifti(path), "NIfTI")


def open_nifti(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64], tuple[float, float]]:
    """The stored values `[slice, row, column]` of a NIfTI, the affine from there to LPS mm, slope and intercept.

    Raises:
        InputError: E_PIXEL_FORMAT, E_NO_GEOMETRY, E_TRUNCATED or E_LIMIT.
    """
    import nibabel

    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        header_class: Any = nibabel.Nifti1Image
        with gzip.open(path) if packed else path.open("rb") as file:
            if file.read(8)[4:7] in (b"n+2", b"ni2"):
                header_class = nibabel.Nifti2Image
        with gzip.open(path) if packed else path.open("rb") as file:
            header = header_class.header_class.from_fileobj(file, check=False)
            shape = tuple(int(n) for n in header.get_data_shape())
            if header["magic"].item()[:3] in _PAIRS:
                text = "the NIfTI keeps its voxels in another file (.hdr and .img)"
                raise InputError("E_PIXEL_FORMAT", f"{text}; give one .nii or .nii.gz with header and data together")
            if len(shape) == 4 and shape[3] == 1:
                shape = shape[:3]
            if len(shape) != 3 or min(shape) < 1:
                raise InputError("E_PIXEL_FORMAT", f"the NIfTI has shape {shape}; give one volume of three axes")
            dtype = header.get_data_dtype()
            if dtype.kind not in "iuf":
                raise InputError("E_PIXEL_FORMAT", f"the NIfTI stores {dtype}; CT is one real number a voxel")
            check("voxels", int(np.prod([float(n) for n in shape])), MAX_VOXELS)
            if not (header["sform_code"] > 0 or header["qform_code"] > 0):
                text = "the NIfTI states no place in the patient (sform and qform code 0)"
                raise InputError("E_NO_GEOMETRY", f"{text}; write it with its affine")
            affine = _in_mm(header) @ np.asarray(header.get_best_affine(), dtype=np.float64)
            # Read no more than the header promises: a small .gz can unpack to gigabytes.
            file.seek(int(header.get_data_offset()))
            size = int(np.prod(shape)) * dtype.itemsize
            body = file.read(size)
            slope, intercept = header.get_slope_inter()
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise InputError("E_TRUNCATED", "the NIfTI ends early or cannot be unpacked; copy it again") from error
    except InputError:
        raise
    except Exception as error:  # nibabel's own errors on broken headers
        raise InputError("E_UNKNOWN_FORMAT", f"the NIfTI header cannot be read ({type(error).__name__})") from error
    if len(body) < size:
        raise InputError("E_TRUNCATED", f"the NIfTI holds {len(body)} of {size} bytes of voxels; copy it again")
    # The file's memory order, slowest axis first: [slice, row, column] as in DICOM.
    values = np.frombuffer(body, dtype=dtype).reshape(shape[::-1])
    backwards = np.eye(4)[[2, 1, 0, 3]]
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    return values, RAS_TO_LPS @ affine @ backwards, scale


def _in_mm(header: Any) -> NDArray[np.float64]:
    """From the header's units to millimetres; units that are not stated are taken for these."""
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "unknown"
    scale = _MM.get(unit, 1.0)
    return np.diag([scale, scale, scale, 1.0])
