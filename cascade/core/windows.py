"""CT display windows by name, and the mapping from HU to what a network sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1024
"""What lies outside a scan, HU."""


@dataclass(frozen=True)
class Window:
    """A linear grey scale over HU.

    Attributes:
        level: Centre, HU.
        width: Full width, HU; positive.
    """

    level: float
    width: float

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"a window's width must be positive, got {self.width}")

    @property
    def low(self) -> float:
        """Lower edge, HU."""
        return self.level - self.width / 2

    @property
    def high(self) -> float:
        """Upper edge, HU."""
        return self.level + self.width / 2

    def to_unit(self, hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map HU linearly to 0..1 and clip outside the window. Any shape."""
        scaled = (np.asarray(hu, dtype=np.float32) - np.float32(self.low)) / np.float32(self.width)
        return np.clip(scaled, 0.0, 1.0, out=scaled)

    def to_bytes(self, hu: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Map HU linearly to 0..255, rounded, and clip outside the window. Any shape.

        Source: DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT.
        """
        return np.rint(self.to_unit(hu) * 255).astype(np.uint8)


LUNG = Window(-600, 1500)
PE = Window(100, 700)
MEDIASTINAL = Window(40, 400)

WINDOWS = {"lung": LUNG, "pe": PE, "mediastinal": MEDIASTINAL}
