"""The Siamese stage: how suspicious each lung slice is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre
from cascade.core.findings import Findings, Slices
from cascade.core.patch import Patch
from cascade.core.stage import Learned, Scores
from cascade.core.study import Study
from cascade.core.truth import embolus_on
from classifiers.scores import between, picture, probabilities, refuse_unusable

LUNG = 0.5
"""Probability from which a slice counts as one that shows lung."""


@dataclass(frozen=True)
class SiameseConfig:
    """Which slices the Siamese classifier scores.

    Attributes:
        stride_mm: At most one slice in so many mm is looked at, the others are filled in between; 0 for all.
        top_slices: Score only so many slices, those with the highest lung probability; None for all lung slices.
        slice_mm: Thickness that is looked at; thinner slices are averaged to it, which halves their noise.
        pixel_mm: Distance of the picture's points.
        size: Points along y and x: 336 mm hold both lungs of most adults.
    """

    stride_mm: float = 2.0
    top_slices: int | None = None
    slice_mm: float = 2.0
    pixel_mm: float = 1.5
    size: int = 224

    def __post_init__(self) -> None:
        refuse_unusable(self.pixel_mm, self.size, self.stride_mm)
        if not 0 < self.slice_mm < math.inf:
            raise ValueError(f"slice_mm must be above 0, got {self.slice_mm}")


class Siamese(Learned):
    """PE score of each slice that shows lung, from one branch a window.

    Reads     study.hu int16 `[z, y, x]`, HU; findings.slices.lung; findings.lungs.region
    Returns   findings.slices: a PE score by the stage's name, 0..1, feet to head; NaN for slices without lung
    Sample    float32 `[3, y, x]` in 0..1: one slice around the lung region in the windows lung, pe, mediastinal
    """

    name: ClassVar[str] = "siamese"
    network: ClassVar[str] = "siamese"
    scores: ClassVar[Scores] = "slices"
    # bfloat16 moved a slice of the trained lung filter by 0.14, of the Siamese network by 0.012.
    full_precision: ClassVar[bool] = True
    batch_size: ClassVar[int] = 8
    Config: ClassVar[type[SiameseConfig]] = SiameseConfig
    config: SiameseConfig

    def patches(self, study: Study, findings: Findings) -> list[Patch]:
        """One patch a slice that shows lung, feet to head, all around the lung region's centre."""
        config, grid = self.config, study.grid
        chosen = np.flatnonzero(_shows_lung(findings, grid.shape[0]))
        if config.stride_mm > 0:
            # The lattice of slices is the patient's, whichever of them show lung.
            chosen = np.intersect1d(chosen, grid.every(config.stride_mm)) if len(chosen) > 1 else chosen
        if config.top_slices is not None and findings.slices is not None:
            chosen = chosen[top_spread(findings.slices.lung[chosen], config.top_slices)]
        centre = _centre(study, findings)
        return [grid.patch(int(z), centre, config.pixel_mm, (config.size, config.size)) for z in chosen]

    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """HU of a slab around the slice, `[1, y, x]`: studies of thin slices look like those of thick ones."""
        (slab,) = study.grid.slab(patch.z, 1, self.config.slice_mm)
        planes = np.stack([weight * patch.crop(study.hu[z]) for z, weight in slab.items()])
        return np.asarray(planes.sum(axis=0, keepdims=True), dtype=np.float32)

    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Three windows of the slice, `[3, y, x]`."""
        return picture(hu[0])

    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """`[1]`: shows an embolus; NaN where the truth does not say."""
        return np.array([embolus_on(truth, patch.z)], dtype=np.float32)

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities `[n, 1]`."""
        return probabilities(self.name, self.nets, batch)

    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """The lung slices' PE score; those between two that were looked at are filled linearly."""
        pairs = list(outputs)
        seen = [patch.z for patch, _ in pairs]
        values = np.array([answer for _, answer in pairs], dtype=np.float32).reshape(-1)
        count = study.grid.shape[0]
        pe = between(study.grid.z_mm, seen, values, self.config.stride_mm)
        pe[~_shows_lung(findings, count)] = np.nan
        before = findings.slices or Slices.unknown(count)
        return replace(findings, slices=before.with_pe(self.name, pe))


def top_spread(lung: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Indices, rising, of the `count` highest lung probabilities; ties are spread evenly along z.

    Probabilities that agree to two decimals tie: a trained filter is sure of most slices, and below that the
    order is the runtime's, not the patient's.

    Args:
        lung: Probabilities feet to head, `[n]`; NaN counts as 0.
        count: How many to take; all where there are fewer.
    """
    level = np.round(np.nan_to_num(lung), 2)
    if count >= len(level):
        return np.arange(len(level))
    last = np.sort(level)[::-1][count - 1] if count else np.inf
    above = np.flatnonzero(level > last)
    ties = np.flatnonzero(level == last)
    wanted = count - len(above)
    spread = ties[((np.arange(wanted) + 0.5) * len(ties) / max(wanted, 1)).astype(np.intp)]
    return np.sort(np.concatenate([above, spread]))


def _shows_lung(findings: Findings, count: int) -> NDArray[np.bool_]:
    """Slices that show lung by the filter; all where it was not asked."""
    if findings.slices is None:
        return np.ones(count, dtype=bool)
    return np.asarray(~(findings.slices.lung < LUNG))


def _centre(study: Study, findings: Findings) -> tuple[float, float]:
    """Middle of the lung region in voxels (y, x); the body's where there is none."""
    region = findings.lungs.region if findings.lungs is not None else None
    if region is None:
        return body_centre(study)
    return (region.y0 + region.y1 - 1) / 2, (region.x0 + region.x1 - 1) / 2
