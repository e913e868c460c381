"""An anatomy: a label map of arteries, veins and lungs that a chest is completed around."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cascade.reading.limits import MAX_VOXELS, OBLIQUE_DEGREES
from cascade.simulation.chest import ARTERY, LUNG, VEIN, fault
from cascade.simulation.errors import SimulationError

__all__ = ["ARTERY", "LUNG", "VEIN", "Anatomy", "digest", "load"]

_UNREADABLE = (OSError, EOFError, ValueError, MemoryError, zlib.error, nib.filebasedimages.ImageFileError)


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
        if text := fault(self.labels, self.spacing_mm):
            raise SimulationError(f"anatomy {self.id} {text}")


def load(path: str | Path) -> Anatomy:
    """Read a NIfTI label map (1 artery, 2 vein, 3 lung), whatever the order and direction of its axes.

    Raises:
        SimulationError: The file cannot be read, has no orientation along the body, or is no label map of a chest.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    try:
        voxels, affine = _opened(path)
        turn: Any = nib.orientations
        to_lps = turn.ornt_transform(turn.io_orientation(affine), turn.axcodes2ornt(("L", "P", "S")))
        turned = turn.apply_orientation(voxels, to_lps)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        order = np.argsort(to_lps[:, 0])
        x, y, z = (float(spacing[i]) for i in order)
        return Anatomy(np.ascontiguousarray(turned.transpose(2, 1, 0)), (z, y, x), name)
    except SimulationError as error:
        # By the name of its file, which is what there is to change.
        raise SimulationError(f"label map {path.name} {error.text.removeprefix(f'anatomy {name} ')}") from error


def _opened(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The labels in the file's order, and its affine.

    Raises:
        SimulationError: With the rest of a sentence that begins with the file's name.
    """
    try:
        image: Any = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise SimulationError("is no NIfTI; give a .nii or .nii.gz")
        if len(image.shape) != 3:
            raise SimulationError(f"has {len(image.shape)} axes; expected 3, one label a voxel")
        affine = _affine(image)
        if np.prod([float(side) for side in image.shape]) > MAX_VOXELS:
            raise SimulationError(f"has {image.shape} voxels; at most {MAX_VOXELS} are read: make it coarser")
        voxels = np.asarray(image.dataobj)
        _read_to_its_end(path)
    except _UNREADABLE as error:
        raise SimulationError(f"cannot be read ({' '.join(str(error).split())}); copy or write it again") from error
    if voxels.dtype.kind not in "biuf" or not ((voxels >= 0) & (voxels < 256) & (voxels == np.floor(voxels))).all():
        raise SimulationError("holds values that are no labels; write whole numbers 0 to 3: 1 artery, 2 vein, 3 lung")
    return voxels.astype(np.uint8), affine


def _read_to_its_end(path: Path) -> None:
    """Have a packed file's checksum tested, which stands at its end, behind the voxels."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def _affine(image: Any) -> NDArray[np.float64]:
    """The affine of an image whose axes lie along those of the body.

    Raises:
        SimulationError: With the rest of a sentence that begins with the file's name.
    """
    if int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0:
        raise SimulationError("has no affine, and left and right would be a guess; write it with one")
    affine = np.asarray(image.affine, np.float64)
    axes = affine[:3, :3]
    length = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or length.min() <= 0 or not length.max() < np.inf:
        raise SimulationError("has an affine that gives its voxels no size; write it with its spacing in mm")
    share = np.abs(axes / length)
    if sorted(share.argmax(axis=0)) != [0, 1, 2] or share.max(axis=0).min() < np.cos(np.deg2rad(OBLIQUE_DEGREES)):
        raise SimulationError(
            f"has axes more than {OBLIQUE_DEGREES:g} degrees off the body's; resample it along left, back and head"
        )
    return affine


def digest(anatomy: Anatomy) -> str:
    """First 16 hex digits of SHA-256 over labels and spacing."""
    sha = hashlib.sha256(repr((anatomy.labels.shape, anatomy.spacing_mm)).encode())
    sha.update(np.ascontiguousarray(anatomy.labels).tobytes())
    return sha.hexdigest()[:16]
