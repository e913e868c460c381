"""Study: the evidence. One CT volume in Hounsfield units with its place in the patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.grid import Grid


@dataclass(frozen=True)
class Note:
    """A warning: a stable code such as `W_THICK`, and one sentence."""

    code: str
    text: str


@dataclass(frozen=True, eq=False)
class Study:
    """One CT volume, never changed after reading.

    Attributes:
        hu: int16 `[z, y, x]`, Hounsfield units, read-only. Axis 0 towards the head, axis 1 towards the back,
            axis 2 towards the patient's left.
        grid: Where the voxels lie, and the way back to the source's order.
        facts: What the source says of itself: kernel, kvp, contrast_agent, manufacturer, thickness_mm ...
            plus `series` (number, description, why chosen). Values are JSON-ready.
        source: The slices' SOP instance UIDs, feet to head; empty where the source has none.
        warnings: What the reader had to remark.
    """

    hu: NDArray[np.int16]
    grid: Grid
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.int16:
            raise ValueError(f"a study's hu must be int16 [z, y, x], got {self.hu.dtype} with shape {self.hu.shape}")
        if self.hu.shape != self.grid.shape:
            raise ValueError(f"hu has shape {self.hu.shape}, its grid says {self.grid.shape}")
        hu = self.hu.view()
        hu.flags.writeable = False
        object.__setattr__(self, "hu", hu)

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of SHA-256 over HU and geometry; no tag enters it."""
        digest = hashlib.sha256(repr(self.grid.shape).encode())
        digest.update((np.round(self.grid.affine, 4) + 0.0).astype("<f8").tobytes())  # -0.0 is 0.0
        for plane in self.hu:
            digest.update(np.ascontiguousarray(plane, dtype="<i2").data)
        return digest.hexdigest()[:16]
