"""Picture files (PNG, JPEG) as arrays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import UsageError

WIDTH_MM = 360.0
"""How wide an image is taken to be that does not say it: a usual field of view of a chest."""


def decode(path: Path) -> NDArray[np.generic]:
    """A picture file as `[y, x]` or, where it has colours, `[y, x, 3]`, red first.

    Raises:
        UsageError: It is no image that can be read.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    if image is None:
        raise UsageError(f"{path} is no image that can be read; name a DICOM slice, a PNG or a JPEG file")
    array = np.asarray(image)
    if array.ndim == 3:
        array = array[..., 2::-1]  # blue first in OpenCV; an opacity channel says nothing here
        if array.shape[2] == 3 and (array == array[..., :1]).all():
            array = array[..., 0]
    return array
