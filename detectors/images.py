"""Images of any kind as the detector's view: files, HU arrays, grey pictures, pictures of three windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre
from cascade.core.errors import InputError, UsageError
from cascade.core.grid import Grid
from cascade.core.patch import Patch
from cascade.core.windows import AIR_HU, LUNG
from cascade.reading import read
from cascade.reading.images import WIDTH_MM, decode
from detectors.lung_detector import LungDetector, LungDetectorConfig

Image = Path | str | NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Slice:
    """An image, as the network sees it.

    Attributes:
        view: Float32 `[3, y, x]` in 0..1.
        patch: Where the view's points lie in the image.
        picture: Uint8 `[y, x]` or `[y, x, 3]` of the image itself, to draw on.
        grid: Of a DICOM slice, whose rows and columns may run the other way in the file.
    """

    view: NDArray[np.float32]
    patch: Patch
    picture: NDArray[np.uint8]
    grid: Grid | None = field(default=None)

    def to_image(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box x0, y0, x1, y1 of the view in the image's pixels, kept inside the image."""
        patch = self.patch
        if self.grid is None:
            rows, columns = self.picture.shape[:2]
        else:
            rows, columns = self.grid.shape[1:]
        x0, x1 = (float(np.clip((v - 0.5) * patch.step[1] + patch.x + 0.5, 0, columns)) for v in (box[0], box[2]))
        y0, y1 = (float(np.clip((v - 0.5) * patch.step[0] + patch.y + 0.5, 0, rows)) for v in (box[1], box[3]))
        if self.grid is None:
            return x0, y0, x1, y1
        order = self.grid.order
        ends = {1: (y0, y1), 2: (x0, x1)}
        out: dict[int, tuple[float, float]] = {}
        for axis, (low, high) in ends.items():
            length = self.grid.shape[axis]
            out[order.axes[axis]] = (length - high, length - low) if order.flips[axis] else (low, high)
        (y0, y1), (x0, x1) = out[1], out[2]
        return x0, y0, x1, y1


def open_image(image: Image, config: LungDetectorConfig, pixel_mm: float | None = None) -> Slice:
    """An image as the detector's view.

    Raises:
        UsageError: There is no such file, or it is no image, or the array's shape or type is not one of those known.
        InputError: A DICOM file holds no axial slice that can be read rightly.
    """
    if isinstance(image, str | Path):
        path = Path(image)
        if not path.is_file():
            raise UsageError(f"there is no image {path}; name a DICOM slice, a PNG or a JPEG file")
        if _is_dicom(path):
            return _dicom(path, config)
        image = decode(path)
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        return _windows(array.astype(np.uint8), config, pixel_mm)
    if array.ndim != 2 or min(array.shape) < 2:
        raise UsageError(f"an image must be [y, x], or [y, x, 3] of uint8, got {array.dtype} with shape {array.shape}")
    if array.dtype == np.uint8:
        # Grey levels back to HU, so that all windows can be made of them as far as they go.
        hu = (array.astype(np.float32) / 255 * LUNG.width + LUNG.low).astype(np.float32)
        return _hu(hu, array.astype(np.uint8), _patch(array.shape, config, pixel_mm), config)
    if array.dtype == np.int16 or array.dtype.kind == "f":
        hu = np.nan_to_num(array.astype(np.float32), nan=AIR_HU)
        return _hu(hu, LUNG.to_bytes(hu), _patch(array.shape, config, pixel_mm), config)
    raise UsageError(f"an image of {array.dtype} says neither HU nor grey levels; give int16 or float HU, or uint8")


def _hu(hu: NDArray[np.float32], picture: NDArray[np.uint8], patch: Patch, config: LungDetectorConfig) -> Slice:
    return Slice(LungDetector(config=config).preprocess(patch.crop(hu)[None]), patch, picture)


def _windows(picture: NDArray[np.uint8], config: LungDetectorConfig, pixel_mm: float | None) -> Slice:
    patch = _patch(picture.shape, config, pixel_mm)
    view = np.stack([patch.crop(picture[..., c], fill=0) for c in range(3)]) / np.float32(255)
    return Slice(view.astype(np.float32), patch, picture)


def _patch(shape: tuple[int, ...], config: LungDetectorConfig, pixel_mm: float | None) -> Patch:
    """The view's lattice around the middle of an image."""
    if pixel_mm is not None and not pixel_mm > 0:
        raise UsageError(f"pixel_mm must be positive, got {pixel_mm}")
    step = config.pixel_mm / (pixel_mm or WIDTH_MM / max(shape[:2]))
    y, x = ((n - 1) / 2 - step * (config.size - 1) / 2 for n in shape[:2])
    return Patch(0, y, x, (step, step), (config.size, config.size))


def _dicom(path: Path, config: LungDetectorConfig) -> Slice:
    study = read(path, minimum_slices=1)
    if study.hu.shape[0] != 1 or study.grid.order.axes[0] != 0:
        raise InputError(
            "E_NOT_AXIAL", f"{path} holds no single axial slice but {study.hu.shape[0]} of them; use `cascade run`"
        )
    stage = LungDetector(config=config)
    size = (config.size, config.size)
    patch = study.grid.patch(0, body_centre(study), config.pixel_mm, size)
    picture = LUNG.to_bytes(np.asarray(study.grid.to_source(study.hu))[0])
    return Slice(stage.view(study, patch), patch, picture, study.grid)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom", ".ima")
