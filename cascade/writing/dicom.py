"""A study as DICOM slices: what `cascade convert` writes. No patient's data, UIDs derived from the study."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade.core.files import write_bytes
from cascade.core.grid import Grid
from cascade.core.study import Study

if TYPE_CHECKING:
    from pydicom.uid import UID

_CT = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_FACTS = {"kernel": "ConvolutionKernel", "kvp": "KVP", "thickness_mm": "SliceThickness"}


def write_dicom(study: Study, folder: Path | str) -> list[Path]:
    """Write one file a slice, `ct_0001.dcm` ..., feet to head; signed 16 bit, HU as they are (slope 1, intercept 0).

    Slices follow our z axis. Positions and cosines keep the affine; decimal strings hold 16 characters, so
    geometry comes back within 1e-9 mm or so.

    Returns:
        The files, feet to head.
    """
    folder = Path(folder)
    paths: list[Path] = []
    for z in range(study.hu.shape[0]):
        path = folder / f"ct_{z + 1:04d}.dcm"
        write_bytes(path, _slice(study, z))
        paths.append(path)
    return paths


def _slice(study: Study, z: int) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    grid = study.grid
    uid = _uids(study.id)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_CT)
    meta.MediaStorageSOPInstanceUID = uid(f"slice {z}")
    meta.TransferSyntaxUID = UID(_EXPLICIT)
    meta.ImplementationClassUID = _uids("")("implementation")
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = _CT, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uid("study"), uid("series"), uid("frame")
    ds.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    ds.Modality, ds.Manufacturer, ds.StudyDate, ds.StudyTime = "CT", "pe-cascade", "", ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "", study.id, "", ""
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName, ds.PositionReferenceIndicator = "", "", "", ""
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 1, 1, z + 1
    ds.KVP, ds.SliceThickness = "", decimal(grid.spacing[0])
    for fact, keyword in _FACTS.items():
        if study.facts.get(fact) is not None:
            value = study.facts[fact]
            setattr(ds, keyword, decimal(value) if isinstance(value, float | int) else str(value)[:16])
    if study.facts.get("contrast_agent"):
        ds.ContrastBolusAgent = "YES"
    _place(ds, grid, z)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = study.hu.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "100", "700"
    ds.PixelData = np.ascontiguousarray(study.hu[z], dtype="<i2").tobytes()
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _place(ds: Any, grid: Grid, z: int) -> None:
    right = grid.affine[:3, 2] / grid.spacing[2]
    down = grid.affine[:3, 1] / grid.spacing[1]
    ds.ImagePositionPatient = [decimal(v) for v in grid.affine[:3, :3] @ (z, 0, 0) + grid.affine[:3, 3]]
    ds.ImageOrientationPatient = [decimal(v) for v in (*right, *down)]
    ds.PixelSpacing = [decimal(grid.spacing[1]), decimal(grid.spacing[2])]


def decimal(value: float) -> str:
    """A DICOM decimal string: the nearest to a number in 16 characters, and no minus before zero."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)


def _uids(study_id: str) -> Callable[[str], UID]:
    """UIDs by role, the same for the same study: "2.25." and a UUID's number (PS3.5 B.2)."""
    from pydicom.uid import UID

    def uid(role: str) -> UID:
        digest = hashlib.sha256(f"pe-cascade/{study_id}/{role}".encode()).digest()
        return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}")

    return uid
