"""An anatomy: a label map of arteries, veins and lungs that a chest is completed around."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cascade.phantom.errors import PhantomError

ARTERY, VEIN, LUNG = 1, 2, 3

LUNG_ML, VESSEL_ML, EXTENT_MM = (300.0, 15_000.0), (5.0, 2_000.0), (60.0, 700.0)
"""What lungs, arteries or veins hold, and how far lungs reach along each axis, in small children and large adults."""
SPACING_MM = (0.1, 10.0)
STRAIGHT = 0.9
"""Least cosine between an axis of the array and one of the patient."""

_UNREADABLE = (
    nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, OSError, EOFError, ValueError, zlib.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Arteries, veins and lungs of one person.

    Attributes:
        labels: uint8 `[z, y, x]` (towards head, back, patient's left): 1 artery, 2 vein, 3 lung, 0 else.
        spacing_mm: Voxel size (z, y, x), mm.
        id: A name that is the same for the same person.
    """

    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    id: str

    def __post_init__(self) -> None:
        """Refuse what no chest can be completed around."""
        if self.labels.ndim != 3:
            raise PhantomError(f"anatomy {self.id} has {self.labels.ndim} axes; expected 3")
        found = set(np.unique(self.labels).tolist())
        if not found <= {0, ARTERY, VEIN, LUNG}:
            raise PhantomError(f"anatomy {self.id} has labels {sorted(found)}; expected 0, 1 artery, 2 vein, 3 lung")
        if missing := {ARTERY, VEIN, LUNG} - found:
            raise PhantomError(f"anatomy {self.id} lacks labels {sorted(missing)} (1 artery, 2 vein, 3 lung)")
        if min(self.spacing_mm) <= 0:
            raise PhantomError(f"anatomy {self.id} has spacing {self.spacing_mm}; expected more than 0 mm")


def load(path: str | Path) -> Anatomy:
    """Read a NIfTI label map (1 artery, 2 vein, 3 lung), whatever the order and direction of its axes.

    Raises:
        PhantomError: The file cannot be read, has no orientation, its labels are not those of an anatomy, or what they
            outline is no chest.
    """
    path = Path(path)
    image, voxels = _read(path)
    if voxels.ndim != 3:
        raise PhantomError(f"label map {path.name} has {voxels.ndim} axes; expected 3")
    affine = np.asarray(image.affine)
    header = image.header
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        raise PhantomError(f"label map {path.name} has no affine; left and right would be a guess")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not all(SPACING_MM[0] <= one <= SPACING_MM[1] for one in spacing):
        text = f"label map {path.name} has voxels of {' x '.join(f'{one:g}' for one in spacing)} mm"
        raise PhantomError(f"{text}; expected {SPACING_MM[0]:g} to {SPACING_MM[1]:g}, mend its affine")
    if (np.abs(affine[:3, :3] / spacing).max(axis=0) < STRAIGHT).any():
        raise PhantomError(f"label map {path.name} lies askew to the patient's axes; resample it along them")
    numbers = voxels.dtype.kind in "biuf" and bool(np.isfinite(voxels).all())
    if not numbers or not np.array_equal(voxels, voxels.astype(np.uint8)):
        raise PhantomError(f"label map {path.name} holds values that are no labels (0..3)")
    turn: Any = nib.orientations
    to_lps = turn.ornt_transform(turn.io_orientation(affine), turn.axcodes2ornt(("L", "P", "S")))
    turned = turn.apply_orientation(voxels.astype(np.uint8), to_lps)
    order = np.argsort(to_lps[:, 0])
    x, y, z = (float(spacing[i]) for i in order)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    anatomy = Anatomy(np.ascontiguousarray(turned.transpose(2, 1, 0)), (z, y, x), name)
    _refuse_no_chest(anatomy, path.name)
    return anatomy


def _read(path: Path) -> tuple[Any, NDArray[Any]]:
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise PhantomError(f"label map {path.name} is no NIfTI; give .nii or .nii.gz")
        return image, np.asarray(image.dataobj)
    except _UNREADABLE as error:
        raise PhantomError(f"label map {path.name} cannot be read: {error}") from error


def _refuse_no_chest(anatomy: Anatomy, file: str) -> None:
    """Refuse labels in the right numbers that outline no chest.

    Raises:
        PhantomError: Lungs, arteries or veins are too small or large, or do not lie where a person has them.
    """
    labels, spacing = anatomy.labels, np.array(anatomy.spacing_mm)
    ml = np.bincount(labels.ravel(), minlength=4) * float(spacing.prod()) / 1000
    for number, name, (low, high) in (
        (LUNG, "lung", LUNG_ML),
        (ARTERY, "artery", VESSEL_ML),
        (VEIN, "vein", VESSEL_ML),
    ):
        if not low <= ml[number] <= high:
            text = f"label map {file} has {ml[number]:.3g} ml of {name}"
            raise PhantomError(f"{text}; expected {low:g} to {high:g}: check labels and voxel size")
    lung = labels == LUNG
    # Slices of each axis, z, y, x, that lie across it.
    profiles = [lung.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    extent = np.array([np.ptp(np.flatnonzero(profile)) + 1 for profile in profiles]) * spacing
    if not all(EXTENT_MM[0] <= one <= EXTENT_MM[1] for one in extent):
        text = f"lungs of label map {file} reach over {' x '.join(f'{one:.0f}' for one in extent)} mm"
        raise PhantomError(
            f"{text} (height, depth, width); expected {EXTENT_MM[0]:g} to {EXTENT_MM[1]:g}: check voxel size"
        )
    # From right to left there is less lung in the middle than on either side; along the other axes there is not.
    across = np.cumsum(profiles[2]) / profiles[2].sum()
    middle = profiles[2][np.searchsorted(across, 0.35) : np.searchsorted(across, 0.65) + 1]
    if middle.min() > profiles[2].max() / 2:
        raise PhantomError(f"lungs of label map {file} do not lie right and left of each other; check its affine")
    inside = tuple(slice(*np.flatnonzero(profile)[[0, -1]] + [0, 1]) for profile in profiles)
    if (labels[inside] == ARTERY).sum() < 0.5 * (labels == ARTERY).sum():
        raise PhantomError(
            f"arteries of label map {file} lie outside of the lungs and what is between; check its labels"
        )


def digest(anatomy: Anatomy) -> str:
    """First 16 hex digits of SHA-256 over labels and spacing."""
    sha = hashlib.sha256(repr((anatomy.labels.shape, anatomy.spacing_mm)).encode())
    sha.update(np.ascontiguousarray(anatomy.labels).tobytes())
    return sha.hexdigest()[:16]
