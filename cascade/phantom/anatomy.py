"""An anatomy: a label map of arteries, veins and lungs that a chest is completed around."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cascade.phantom.errors import PhantomError

ARTERY, VEIN, LUNG = 1, 2, 3


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
        PhantomError: The file cannot be read, has no orientation, or its labels are not those of an anatomy.
    """
    path = Path(path)
    try:
        image: Any = nib.load(path)
        voxels = np.asarray(image.dataobj)
    except (OSError, nib.filebasedimages.ImageFileError, EOFError) as error:
        raise PhantomError(f"label map {path.name} cannot be read: {error}") from error
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    if voxels.ndim != 3:
        raise PhantomError(f"label map {path.name} has {voxels.ndim} axes; expected 3")
    affine = np.asarray(image.affine)
    header = image.header
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        raise PhantomError(f"label map {path.name} has no affine; left and right would be a guess")
    if not np.array_equal(voxels, voxels.astype(np.uint8)):
        raise PhantomError(f"label map {path.name} holds values that are no labels (0..3)")
    turn: Any = nib.orientations
    to_lps = turn.ornt_transform(turn.io_orientation(affine), turn.axcodes2ornt(("L", "P", "S")))
    turned = turn.apply_orientation(voxels.astype(np.uint8), to_lps)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    order = np.argsort(to_lps[:, 0])
    x, y, z = (float(spacing[i]) for i in order)
    return Anatomy(np.ascontiguousarray(turned.transpose(2, 1, 0)), (z, y, x), name)


def digest(anatomy: Anatomy) -> str:
    """First 16 hex digits of SHA-256 over labels and spacing."""
    sha = hashlib.sha256(repr((anatomy.labels.shape, anatomy.spacing_mm)).encode())
    sha.update(np.ascontiguousarray(anatomy.labels).tobytes())
    return sha.hexdigest()[:16]
