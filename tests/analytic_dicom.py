"""An analytic phantom as DICOM: HU is a function of patient millimetres, so truth is exact in any geometry.

A body of 40 HU in air of -1000, a "right lung", and two markers of different HU at asymmetric places: any flip, swap,
offset or rescale error moves one of them or changes its HU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from cascade.core.study import Study

MARKERS = {"A": ((12.0, -8.0, 118.0), 6.0, 300), "B": ((-9.0, 6.0, 130.0), 4.0, 600)}
MIDDLE = (0.0, 0.0, 123.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def rotated(degrees: float) -> tuple[float, ...]:
    """Axial cosines, turned about the x axis."""
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))


ORIENTATIONS = {
    "axial": AXIAL,
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "upside down": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "mirrored": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "transposed": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
    "coronal": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": rotated(20),
}


def hu_at(x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]) -> NDArray[np.int16]:
    """HU at patient millimetres (LPS)."""
    hu = np.where((x / 26) ** 2 + (y / 22) ** 2 < 1, 40, -1000)
    hu = np.where((x > -19) & (x < -5) & (np.abs(y) < 10) & (z < 120), -850, hu)
    for (mx, my, mz), radius, value in MARKERS.values():
        hu = np.where((x - mx) ** 2 + (y - my) ** 2 + (z - mz) ** 2 < radius**2, value, hu)
    return hu.astype(np.int16)


def phantom(
    cosines: Sequence[float] = AXIAL,
    *,
    slices: int = 24,
    spacing: tuple[float, float, float] = (2.0, 0.75, 0.75),
    shape: tuple[int, int] = (72, 80),
    places: Iterable[float] | None = None,
    tilt: float = 0.0,
    slope: Callable[[int], float] = lambda k: 1.0,
    intercept: Callable[[int], float] = lambda k: -1024.0,
    mutate: Callable[[Dataset, int], None] = lambda ds, k: None,
    tags: Mapping[str, Any] | None = None,
) -> list[Dataset]:
    """The phantom's slices along the normal.

    Args:
        cosines: ImageOrientationPatient.
        slices: Count.
        spacing: Of slices, rows and columns, mm.
        shape: Rows and columns.
        places: Positions along the normal from the middle, mm, instead of even ones.
        tilt: Degrees by which the line of positions leans from the normal.
        slope: Rescale slope of slice k; `intercept` likewise.
        mutate: Called with each slice and its index, last.
        tags: More or other tags, for all slices.
    """
    right, down = np.array(cosines[:3]), np.array(cosines[3:])
    normal = np.cross(right, down)
    step_mm, row_mm, column_mm = spacing
    corner = np.array(MIDDLE) - right * column_mm * (shape[1] - 1) / 2 - down * row_mm * (shape[0] - 1) / 2
    along = np.array(list(places)) if places is not None else (np.arange(slices) - (slices - 1) / 2) * step_mm
    rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    made = []
    for k, mm in enumerate(along):
        position = corner + normal * mm + down * mm * np.tan(np.radians(tilt))
        points = position + rows[..., None] * down * row_mm + columns[..., None] * right * column_mm
        hu = hu_at(points[..., 0], points[..., 1], points[..., 2])
        stored = np.rint((hu - intercept(k)) / slope(k)).astype(np.int16)
        ds = dataset(stored, k, position, cosines, (row_mm, column_mm))
        ds.RescaleSlope, ds.RescaleIntercept = str(slope(k)), str(intercept(k))
        for keyword, value in (tags or {}).items():
            setattr(ds, keyword, value)
        mutate(ds, k)
        made.append(ds)
    return made


def dataset(
    stored: NDArray[np.int16], k: int, position: Sequence[float], cosines: Sequence[float], spacing: Sequence[float]
) -> Dataset:
    """One CT slice of stored values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k + 1}"
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "P1", "Doe^Jane"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber = 4, k + 1
    ds.ImagePositionPatient = [f"{v:.6f}" for v in position]
    ds.ImageOrientationPatient = [f"{v:.12f}"[:16] for v in cosines]
    ds.PixelSpacing = [f"{v:.6f}" for v in spacing]
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = stored.astype("<i2").tobytes()
    return ds


def write(folder: Path, slices: Sequence[Dataset], names: Callable[[int], str] = lambda k: f"{k:03d}.dcm") -> Path:
    """Write the slices to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(slices):
        path = folder / names(k)
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
    return folder


def assert_right(study: Study, within_mm: float | None = None) -> None:
    """The markers lie where they must, within half a voxel, and are as bright and as large as they must."""
    within = max(study.grid.spacing) / 2 if within_mm is None else within_mm
    for (place, radius, value), (low, high) in zip(MARKERS.values(), ((270, 330), (560, 640)), strict=True):
        voxels = np.argwhere((study.hu >= low) & (study.hu <= high))
        assert len(voxels), f"no voxel of {value} HU"
        centre = study.grid.to_mm(voxels).mean(axis=0)
        assert np.abs(centre - place).max() < within, f"marker at {centre}, it must be at {place}"
        assert set(np.unique(study.hu[tuple(voxels.T)]).tolist()) <= {value - 1, value, value + 1}
        volume = len(voxels) * study.grid.voxel_mm3
        assert abs(volume / (4 / 3 * np.pi * radius**3) - 1) < 0.15
