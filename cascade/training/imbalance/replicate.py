"""Replicating targets: an embolus of one case is copied into an artery of another sample, and stays inside it.

Copying what is rare into other places is the remedy of Kisantal et al., "Augmentation for small object detection",
2019; here the edges are blended by coverage, and the place is an artery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.morphology import component_at
from cascade.core.findings import Field
from cascade.core.patch import Patch
from cascade.datasets.case import Case
from segmenters.embolus import ARTERY, EMBOLUS, EmbolusEnsemble

PATCH = 32
"""Points along a side of what is copied."""
_CORE = 0.9
"""Coverage from which on a point is nothing but clot."""

Volume = NDArray[np.float32]


class Replicate:
    """Copies emboli into the arteries of samples.

    Args:
        cases: With the emboli to copy from.
        stage: Cuts the samples.
        chance: Probability for a sample.
        arteries: Where to paint in cases whose truth does not say where arteries are; no target is made of them.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        stage: EmbolusEnsemble,
        chance: float,
        arteries: Mapping[Case, Field] | None = None,
    ) -> None:
        self._stage, self._chance, self._arteries = stage, chance, arteries or {}
        self._donors = [(case, np.argwhere(case.truth.mask())) for case in cases if case.truth.embolus is not None]
        self._donors = [(case, voxels) for case, voxels in self._donors if len(voxels)]

    def __call__(
        self, case: Case, patch: Patch, hu: Volume, target: Volume, rng: np.random.Generator
    ) -> tuple[Volume, Volume]:
        """HU `[slice, y, x]` and target `[output, y, x]` with another embolus in them, or as they are.

        They are as they were where chance says so, where no artery without embolus is known, and where there is no
        embolus to copy.
        """
        if rng.random() >= self._chance or not self._donors or not np.isfinite(target[EMBOLUS]).all():
            return hu, target
        arteries = self._coverage(self._with_arteries(case), patch, ARTERY)
        middle = len(hu) // 2
        # Unknown arteries are NaN, and no place.
        places = np.argwhere((arteries[middle] >= 0.5) & (target[EMBOLUS] < 0.1))
        if not len(places):
            return hu, target
        y, x = (int(v) - PATCH // 2 for v in places[rng.integers(len(places))])
        clot, coverage = self._clot(rng)
        rows, columns = (slice(max(at, 0), min(at + PATCH, n)) for at, n in zip((y, x), patch.size, strict=True))
        inner = (slice(None), *(slice(s.start - at, s.stop - at) for s, at in ((rows, y), (columns, x))))
        share = coverage[inner] * arteries[:, rows, columns]
        hu, target = hu.copy(), target.copy()
        hu[:, rows, columns] += share * (clot[inner] - hu[:, rows, columns])
        target[EMBOLUS, rows, columns] = np.maximum(target[EMBOLUS, rows, columns], share[middle])
        return hu, target

    def _with_arteries(self, case: Case) -> Case:
        """The case with the arteries that were found in it, where its truth does not know them."""
        found = self._arteries.get(case)
        return case if found is None else replace(case, truth=replace(case.truth, arteries=found))

    def _clot(self, rng: np.random.Generator) -> tuple[Volume, Volume]:
        """HU and coverage `[slice, y, x]` of one clot; where blood is mixed in, HU are those of the clot's core."""
        case, voxels = self._donors[int(rng.integers(len(self._donors)))]
        z, y, x = (int(v) for v in voxels[rng.integers(len(voxels))])
        spacing = case.study.grid.spacing
        step = self._stage.config.pixel_mm / spacing[1], self._stage.config.pixel_mm / spacing[2]
        corner = y - PATCH // 2 * step[0], x - PATCH // 2 * step[1]
        patch = Patch(z, *corner, step, (PATCH, PATCH))
        hu, coverage = self._stage.crop(case.study, patch), self._coverage(case, patch, EMBOLUS)
        piece = component_at(coverage > 0, (len(hu) // 2, PATCH // 2, PATCH // 2), 26)
        coverage = np.where(piece, coverage, 0).astype(np.float32)
        core = coverage >= min(_CORE, float(coverage.max()))
        middle = float(np.median(hu[core]))
        return np.where(core, hu, middle).astype(np.float32), coverage

    def _coverage(self, case: Case, patch: Patch, output: int) -> Volume:
        """Coverage by embolus or artery on all slices of a sample, `[slice, y, x]`."""
        config = self._stage.config
        slab = case.study.grid.slab(patch.z, config.slices, config.slice_mm)
        nearest = [max(level, key=lambda z: level[z]) for level in slab]
        planes = [self._stage.target(case.study, case.truth, replace(patch, z=z))[output] for z in nearest]
        return np.stack(planes).astype(np.float32)
