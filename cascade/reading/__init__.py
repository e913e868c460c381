"""From files to a `Study`: choose one series and say why, refuse what cannot be read rightly.

Only this package opens a study. The story of a DICOM folder is told in `dicom.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cascade.core.folder import as_path
from cascade.reading.array import from_array
from cascade.reading.limits import MINIMUM_SLICES

if TYPE_CHECKING:
    from cascade.core.study import Study
    from cascade.reading.series_ranking import Candidate

__all__ = ["candidates", "from_array", "read"]


def read(path: Path | str, series: int | str | None = None, *, minimum_slices: int = MINIMUM_SLICES) -> Study:
    """Read a study from a DICOM folder, a DICOM file, a NIfTI or an NRRD, told apart by content.

    Args:
        path: The folder (any file names, nested, several series) or file.
        series: Number, UID or description of a DICOM series; without it the best one is chosen.
        minimum_slices: Refuse fewer. Below 4, also volumes too small for a chest are read: single slices for
            training, anything for conversion.

    Raises:
        InputError: There is nothing at the path, or the study cannot be read rightly; code, place and remedy in one
            sentence.
        UsageError: It is no path, or there is no such series.
    """
    from cascade.reading.kind import kind_of

    path = as_path(path, "a study")
    kind = kind_of(path)
    if kind == "nifti":
        from cascade.reading.nifti import read_nifti

        return read_nifti(path)
    if kind == "nrrd":
        from cascade.reading.nrrd import read_nrrd

        return read_nrrd(path)
    from cascade.reading.dicom import read_dicom

    return read_dicom(path, series, minimum_slices)


def candidates(path: Path | str) -> list[Candidate]:
    """Every series of a DICOM folder with what speaks for it, the chosen one first; headers before pixels.

    Raises:
        InputError: E_NO_CT_SERIES, the path holds no DICOM image.
    """
    from cascade.core.errors import InputError
    from cascade.reading.dicom import candidates_in
    from cascade.reading.kind import kind_of

    path = as_path(path, "a study")
    if kind_of(path) not in ("folder", "dicom"):
        raise InputError("E_NO_CT_SERIES", "a NIfTI or NRRD file holds one volume; there is nothing to choose")
    return candidates_in(path)
