"""Lesions beside clots: which of the answer's are where, which clots they overlap, and which overlap none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings

CLOT_MM3 = 30.0
"""Components of the truth from this volume on are clots to be found; smaller ones are pixels at the edge of a mask."""
FALSE_POSITIVE_MM3 = 40.0
"""Components of the answer from this volume on count as false positives where they touch no clot."""

Numbers = NDArray[np.unsignedinteger[Any]]
"""Lesion numbers `[z, y, x]`; 0 is background."""


@dataclass(frozen=True, eq=False)
class Match:
    """Numbered lesions of an answer beside numbered clots of the truth.

    Attributes:
        clots: Numbers of the clots from `CLOT_MM3` on, in order `[n]`.
        clots_mm3: Their volumes `[n]`.
        false: Numbers of the lesions from `FALSE_POSITIVE_MM3` on that overlap no voxel of the truth, in order `[m]`.
        false_mm3: Their volumes `[m]`.
        pairs: Lesion and clot of each overlap, whatever the volumes `[k, 2]`.
    """

    clots: NDArray[np.int64]
    clots_mm3: NDArray[np.float64]
    false: NDArray[np.int64]
    false_mm3: NDArray[np.float64]
    pairs: NDArray[np.int64]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Of each clot, whether a lesion overlaps it `[n]`."""
        return np.isin(self.clots, self.pairs[:, 1])


def lesions(findings: Findings) -> Numbers:
    """Lesion numbers `[z, y, x]`: the findings' own, else components (26 neighbours) of the mask at 0.5."""
    if findings.labels is not None:
        return findings.lesion_mask()
    import cc3d

    labelled: Numbers = cc3d.connected_components(findings.mask(), connectivity=26)
    return labelled


def match(answer: Numbers, truth: Numbers, voxel_mm3: float) -> Match:
    """Match lesions with clots: a lesion finds every clot that it shares a voxel with.

    Args:
        answer: Lesion numbers `[z, y, x]`.
        truth: Clot numbers `[z, y, x]`.
        voxel_mm3: Volume of a voxel.
    """
    both = (answer > 0) & (truth > 0)
    pairs = np.unique(np.stack([answer[both], truth[both]], axis=1).astype(np.int64), axis=0)
    clots, clots_mm3 = _from_volume(truth, voxel_mm3, CLOT_MM3)
    large, large_mm3 = _from_volume(answer, voxel_mm3, FALSE_POSITIVE_MM3)
    alone = ~np.isin(large, pairs[:, 0])
    return Match(clots, clots_mm3, large[alone], large_mm3[alone], pairs)


def _from_volume(numbers: Numbers, voxel_mm3: float, least_mm3: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The numbers whose volume is at least so large, and their volumes."""
    volumes = np.asarray(np.bincount(numbers.ravel()) * voxel_mm3, np.float64)
    large = np.flatnonzero(volumes >= least_mm3).astype(np.int64)
    large = large[large > 0]
    return large, volumes[large]
