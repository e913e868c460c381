"""Cases on an isotropic lattice, packed small: a chest at 2 mm is a few megabytes, and opens in no time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Field, Findings, Lungs
from cascade.core.grid import Box
from cascade.core.isotropic import Isotropic
from cascade.core.study import Study
from cascade.datasets.case import Case

STEP_MM = 2.0
MARGIN_MM = 24.0


def packed(case: Case, step_mm: float = STEP_MM, margin_mm: float = MARGIN_MM) -> Case:
    """A case on an isotropic lattice, cut to its lung region.

    Args:
        case: At the scanner's resolution.
        step_mm: Distance of the lattice's points.
        margin_mm: How much is kept around the lung region.

    Returns:
        A case whose grid is the lattice. Embolus and arteries are coverages (0..255); a point's label is that of the
        voxel nearest to it. What is unknown stays unknown.
    """
    grid = case.study.grid
    region = case.truth.lungs.region if case.truth.lungs else None
    region = region or Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])
    dz, dy, dx = (round(margin_mm / s) for s in grid.spacing)
    lattice = Isotropic.over(grid, region.grow((dz, dy, dx), grid.shape), step_mm)
    hu = np.clip(np.rint(lattice.crop(np.maximum(case.study.hu, -1024))), -1024, 3071).astype(np.int16)
    small, whole = lattice.grid, Box(0, hu.shape[0], 0, hu.shape[1], 0, hu.shape[2])
    known = Findings(
        small,
        lungs=Lungs(np.full((len(hu), 2, 4), np.nan, np.float32), whole),
        embolus=_coverage(case.truth.embolus, lattice, whole),
        labels=_nearest(case.truth.labels, lattice, whole),
        arteries=_coverage(case.truth.arteries, lattice, whole),
        exam=case.truth.exam,
    )
    return replace(case, study=Study(hu, small, case.study.facts), truth=known)


def _coverage(known: Field | None, lattice: Isotropic, whole: Box) -> Field | None:
    if known is None:
        return None
    if not known.values.any():
        return Field(np.zeros(lattice.shape, np.uint8), whole)
    return Field(np.rint(lattice.crop(known.full(lattice.source.shape))).astype(np.uint8), whole)


def _nearest(known: Field | None, lattice: Isotropic, whole: Box) -> Field | None:
    if known is None:
        return None
    full: NDArray[np.unsignedinteger[Any]] = known.full(lattice.source.shape)
    at = [np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in zip(lattice.voxels, full.shape, strict=True)]
    return Field(np.ascontiguousarray(full[np.ix_(*at)]), whole)
