from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Exam, Field, Findings, Slices
from cascade.core.grid import Box, Grid
from cascade.core.stage import Net
from cascade.core.study import Study
from cascade.core.truth import KNOWN
from cascade.core.windows import AIR_HU

SPACING = (2.5, 4.0, 4.0)


def chest(slices: int = 24, lungs: tuple[int, int] = (6, 18), seed: int = 0) -> Study:
    """A body with two lungs on slices `lungs[0] <= z < lungs[1]`, 4 mm pixels, in air."""
    y, x = np.mgrid[:80, :100]
    body = ((y - 40) / 30) ** 2 + ((x - 50) / 42) ** 2 < 1
    pair = sum((((y - 40) / 18) ** 2 + ((x - c) / 12) ** 2 < 1) for c in (32, 68)) > 0
    hu = np.where(body, 40.0, AIR_HU) + np.zeros((slices, 1, 1))
    hu[lungs[0] : lungs[1], pair] = -820
    hu += np.random.default_rng(seed).normal(0, 8, hu.shape)
    hu[:, ~body] = AIR_HU
    return Study(hu.astype(np.int16), Grid.simple((slices, 80, 100), SPACING, (-200.0, -160.0, 0.0)))


def single_slice() -> Study:
    """One slice of a chest, as a file of its own."""
    study = chest()
    return cropped(study, Box(10, 11, 0, 80, 0, 100))


def cropped(study: Study, box: Box) -> Study:
    """The study's voxels in a box, at the same place in the patient."""
    affine = study.grid.affine.copy()
    affine[:3, 3] = study.grid.to_mm(np.array([box.z0, box.y0, box.x0]))
    return Study(study.hu[box.slices].copy(), Grid(box.shape, affine))


def truth(study: Study, lungs: tuple[int, int] = (6, 18), emboli: tuple[int, int] = (9, 12)) -> Findings:
    """What someone who knows says of `chest`: lung slices, and an embolus on slices `emboli`."""
    z = np.arange(study.grid.shape[0])
    lung = ((z >= lungs[0]) & (z < lungs[1])).astype(np.float32)
    pe = ((z >= emboli[0]) & (z < emboli[1])).astype(np.float32)
    values = np.zeros((emboli[1] - emboli[0], 4, 4), np.uint8)
    values[:, 1, 1] = 255
    embolus = Field(values, Box(*emboli, 38, 42, 48, 52))
    return Findings(study.grid, slices=Slices(lung, {KNOWN: pe}), embolus=embolus, exam=Exam("positive", 1.0))


def net_of(answer: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> dict[str, Net]:
    """A network that is a plain function from a batch to logits."""
    return {"plain": answer}
