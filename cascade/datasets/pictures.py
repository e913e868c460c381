"""Pictures to studies: three windows, or one grey window that somebody has to name. A picture alone has no HU.

Where the pixels' distance isn't known a usual one is assumed, and the study says so (W_SPACING_ASSUMED): what is
learned from single slices bears that, a volume in ml does not. Where HU were cut off by windows it says that too
(W_WINDOWED), so that a check of HU can pass it over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError, UsageError
from cascade.core.grid import Grid
from cascade.core.study import Note, Study
from cascade.core.windows import LUNG, WINDOWS, Window
from cascade.datasets.rgb_windows import HIGH, lung_low_of, to_hu
from cascade.reading.images import WIDTH_MM, decode

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
LOSSY = (".jpg", ".jpeg")
SLICE_MM = 1.25
"""A usual distance of the slices of a CT angiogram."""


@dataclass(frozen=True)
class PictureOptions:
    """What a picture doesn't say.

    Attributes:
        window: The grey pictures' window: level and width in HU, or one of lung, pe, mediastinal.
        pixel_mm: Distance of pixels; a field of view of 360 mm is assumed without one.
        slice_mm: Distance of slices; 1.25 mm is assumed without one.
    """

    window: tuple[float, float] | str | None = None
    pixel_mm: float | None = None
    slice_mm: float | None = None

    def grey(self) -> Window | None:
        """The window of grey pictures, if it was named.

        Raises:
            UsageError: E_DATASET, there is no such window.
        """
        if isinstance(self.window, str):
            if self.window not in WINDOWS:
                names = ", ".join(WINDOWS)
                raise UsageError(f"there is no window {self.window!r}; give {names} or [level, width]", "E_DATASET")
            return WINDOWS[self.window]
        return None if self.window is None else Window(*self.window)


PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class PartOptions(PictureOptions):
    """What the pictures don't say, and which to take.

    Attributes:
        part: "train", "val" or "test"; all of them by default.
    """

    part: Literal["train", "val", "test", "all"] = "all"


def picture_study(paths: Sequence[Path], options: PictureOptions) -> Study:
    """A study of pictures of one size, feet to head; each as radiologists see it, the patient's right on the left.

    Raises:
        InputError: E_UNREADABLE, a picture; E_MIXED_SIZES; E_NO_HU, grey pictures without a named window.
    """
    pixels = [_eight_bit(path) for path in paths]
    shapes = {one.shape[:2] for one in pixels}
    if len(shapes) > 1:
        raise InputError("E_MIXED_SIZES", f"the pictures have {len(shapes)} sizes; a study has one: export them again")
    lossy = any(path.suffix.lower() in LOSSY for path in paths)
    hu, notes = _hu(pixels, options.grey(), lossy)
    rows, columns = hu.shape[1:]
    if options.pixel_mm is None or (options.slice_mm is None and len(hu) > 1):
        text = "the pictures do not say how far pixels and slices lie apart; a usual distance is assumed"
        notes.append(Note("W_SPACING_ASSUMED", f"{text}: no mm, mm3 or ml of this study is measured"))
    pixel = options.pixel_mm or WIDTH_MM / max(rows, columns)
    grid = Grid.simple((len(hu), rows, columns), (options.slice_mm or SLICE_MM, pixel, pixel))
    return Study(hu, grid, {"format": "pictures"}, (), tuple(notes))


def files(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by name without ending."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in found if path.suffix.lower() in ENDINGS}


def patient_of(stem: str) -> str:
    """The text before the last `_` of a picture's name: PAT001 of PAT001_D0001; all of it where there is none."""
    return stem.rpartition("_")[0] or stem


def number_of(stem: str) -> int | None:
    """The last number in a picture's name."""
    found = re.findall(r"\d+", stem)
    return int(found[-1]) if found else None


def _hu(pixels: Sequence[NDArray[np.uint8]], grey: Window | None, lossy: bool) -> tuple[NDArray[np.int16], list[Note]]:
    if any(one.ndim == 3 for one in pixels):
        # A slice of one colour only, such as one without a patient, was taken for grey.
        coloured = [one if one.ndim == 3 else np.repeat(one[..., None], 3, axis=2) for one in pixels]
        low, high = lung_low_of(coloured), HIGH
        hu = np.stack([to_hu(one, low, lossy) for one in coloured])
    elif grey is None:
        text = "grey pictures have no HU unless it is known which window they show"
        remedy = "write it into dataset.yaml: options: {window: [-600, 1500]}; if each was stretched by itself, export"
        raise InputError("E_NO_HU", f"{text}; {remedy} them anew from the scans")
    else:
        low, high = grey.low, grey.high
        hu = np.rint(grey.low + np.stack(pixels).astype(np.float32) / 255 * grey.width).astype(np.int16)
    return hu, [Note("W_WINDOWED", f"HU beyond {low:.0f} to {high:.0f} were lost in the pictures' windows")]


def shows_lung(study: Study) -> bool:
    """Whether lungs can be found by threshold: air is told from tissue."""
    return int(study.hu.min()) <= LUNG.level


def _eight_bit(path: Path) -> NDArray[np.uint8]:
    try:
        pixels = decode(path)
    except (UsageError, OSError) as error:
        raise InputError("E_UNREADABLE", f"{path.name} is no picture that can be read; export it again") from error
    if pixels.dtype != np.uint8:
        raise InputError("E_PIXEL_FORMAT", f"{path.name} has pixels of {pixels.dtype}; 8-bit pictures are read")
    return pixels.astype(np.uint8)
