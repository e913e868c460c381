"""Cutting a case to the box of its lungs: what lies outside holds no embolus that is looked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cascade.core.findings import Field, Lungs
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.datasets.case import Case


def cut_to_lungs(case: Case) -> Case:
    """The case within its lung region; as it is where no region is known. Slice labels go."""
    box = case.truth.lungs.region if case.truth.lungs else None
    if box is None:
        return case
    grid = case.study.grid
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.to_mm(np.array([box.z0, box.y0, box.x0], dtype=float))
    hu = np.ascontiguousarray(case.study.hu[box.slices])
    small = Grid(hu.shape, affine)
    whole = Box(0, hu.shape[0], 0, hu.shape[1], 0, hu.shape[2])
    embolus, labels, arteries = (
        None if known is None else _within(known, box)
        for known in (case.truth.embolus, case.truth.labels, case.truth.arteries)
    )
    truth = replace(
        case.truth,
        grid=small,
        lungs=Lungs(np.full((hu.shape[0], 2, 4), np.nan, np.float32), whole),
        slices=None,
        embolus=embolus,
        labels=labels,
        arteries=arteries,
    )
    return replace(case, study=Study(hu, small), truth=truth)


def _within(known: Field, box: Box) -> Field:
    """What a field says within a box, in the box's voxels."""
    values = np.zeros(box.shape, known.values.dtype)
    ours, theirs = [], []
    for wanted, held in zip(box.slices, known.box.slices, strict=True):
        low, high = max(wanted.start, held.start), min(wanted.stop, held.stop)
        ours.append(slice(low - wanted.start, max(high, low) - wanted.start))
        theirs.append(slice(low - held.start, max(high, low) - held.start))
    values[tuple(ours)] = known.values[tuple(theirs)]
    return Field(values, Box(0, box.shape[0], 0, box.shape[1], 0, box.shape[2]))
