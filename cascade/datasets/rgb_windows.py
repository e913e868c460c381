"""CT slices as pictures of three windows - red lung, green PE, blue mediastinal - and back to HU as far as they go.

The picture is that of the RSNA JPEG-256 set (Ian Pan, RSNA-STR 2020): each window clipped, scaled to 0..255 and
truncated. Beyond the widest window, -1350..450 HU, nothing comes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.windows import AIR_HU, LUNG, MEDIASTINAL, PE, Window

CHANNELS = (LUNG, PE, MEDIASTINAL)
LOW, HIGH = LUNG.low, PE.high

# Where the lung and the PE window both follow the HU, away from their ends.
_SHARED = (-150.0, 100.0)
# Grey levels of the PE window, 2.7 HU each.
_FLAT = 36
# Where the mediastinal window, the finest, is away from its ends.
_FINE = (-130.0, 210.0)
# Ends of the lung window that occur: the window's own, and the lowest HU of most scanners.
_USUAL = (LOW, float(AIR_HU))
_NEAR = 20.0
# Under this the lung window speaks alone: the PE window ends at -250.
_LUNG = -240.0

Picture = NDArray[np.uint8]


def to_picture(hu: NDArray[Any]) -> Picture:
    """HU of any shape as uint8 `[..., 3]`, red first."""
    return np.stack([(window.to_unit(hu) * 255).astype(np.uint8) for window in CHANNELS], axis=-1)


def to_hu(picture: Picture, lung_low: float = LOW, lossy: bool = False) -> NDArray[np.int16]:
    """HU of a picture: the coarse window says lung or not, the PE window the value, the mediastinal window refines it.

    The finest window that is not clipped would be the better guess, were it not for JPEG: it stores colours at half the
    resolution, which lifts the mediastinal window out of its lower end beside every edge. Green it keeps best: on JPEG
    of three scans at 256 pixels soft tissue came back within 4 to 6 HU (median) by green, 7 to 14 by blue.

    Args:
        picture: uint8 `[..., 3]`, red first.
        lung_low: HU at which red is 0 (`lung_low_of`): the published set scales by the series' own minimum.
        lossy: The picture went through JPEG, and blue refines nothing.

    Returns:
        int16 `[...]` between `lung_low` and 450: half a step of each window is added for the truncation.
    """
    lung = Window((lung_low + LUNG.high) / 2, LUNG.high - lung_low)
    red, green, blue = (_values(picture[..., i], window) for i, window in enumerate((lung, *CHANNELS[1:])))
    hu = green if lossy else np.where((green > _FINE[0]) & (green < _FINE[1]), blue, green)
    hu = np.where(red < _LUNG, red, hu)
    # Both ends stand for all that lies beyond: the end itself, not half a step inside.
    hu = np.where(picture[..., 0] == 0, lung_low, np.where(picture[..., 1] >= 254, HIGH, hu))
    return np.asarray(np.rint(hu), dtype=np.int16)


def lung_low_of(pictures: Iterable[Picture]) -> float:
    """HU at which red is 0, from how red goes with green where both windows follow the HU; -1024 where none do.

    Looked at where the picture is flat: beside edges JPEG mixes the colours. On JPEG of three real scans it was off by
    16 HU at most, and what is so near to a usual end is taken for that.

    Args:
        pictures: uint8 `[y, x, 3]` of one series, red first.
    """
    widths: list[NDArray[np.float64]] = []
    square = np.ones((5, 5), np.uint8)
    for picture in pictures:
        red, green = picture[..., 0], np.ascontiguousarray(picture[..., 1])
        hu = _values(green, PE)
        flat = cv2.dilate(green, square) - cv2.erode(green, square) < _FLAT
        both = flat & (hu > _SHARED[0]) & (hu < _SHARED[1]) & (red < 250)
        widths.append((LUNG.high - hu[both]) / (1 - (red[both] + 0.5) / 255))
    found = np.concatenate(widths) if widths else np.zeros(0)
    if found.size < 100:
        return float(AIR_HU)
    low = float(np.clip(LUNG.high - np.median(found), LOW, -500.0))
    return next((usual for usual in _USUAL if abs(low - usual) < _NEAR), low)


def _values(channel: NDArray[np.uint8], window: Window) -> NDArray[np.float64]:
    return window.low + (channel.astype(np.float64) + 0.5) / 255 * window.width
