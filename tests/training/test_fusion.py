from __future__ import annotations

from dataclasses import replace

import numpy as np

from cascade.core.findings import Exam, Field, Findings, Slices
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.training.fusion import exam_seen, fit_subsets, subsets

STAGES = ("lung_detector", "lung_filter", "siamese", "embolus")
GRID = Grid.simple((12, 24, 24), (2.0, 2.0, 2.0))
ALL = Box(0, 12, 0, 24, 0, 24)


def exam(positive: bool, seed: int) -> tuple[Findings, Findings]:
    """What was found, and the truth: a bright clot in its artery, or a faint speck."""
    rng = np.random.default_rng(seed)
    values, truth = np.zeros((2, *GRID.shape), np.uint8)
    values[2:4, 2:5, 2:5] = rng.integers(80, 190)
    if positive:
        truth[5:9, 10:14, 10:14] = 255
        values[5:9, 10:14, 10:14] = rng.integers(170, 255)
    scores = rng.uniform(0.1, 0.6 if not positive else 0.9, 12).astype(np.float32)
    slices = Slices(np.ones(12, np.float32), {"lung_filter": scores, "siamese": scores})
    found = Findings(GRID, embolus=Field(values, ALL), arteries=Field(truth, ALL), slices=slices)
    known = Findings(GRID, embolus=Field(truth, ALL), exam=Exam("positive" if positive else "negative"))
    return found, known


class Says:
    """A stage that says what it was told to."""

    def __init__(self, name: str, **changes: object) -> None:
        self.name, self.changes = name, changes

    def __call__(self, study: Study, findings: Findings, progress: object = None) -> Findings:
        return replace(findings, **self.changes)  # type: ignore[arg-type]  # fields of Findings


def test_a_fusion_is_fitted_for_every_subset_that_scores_something():
    seen = []
    for seed in range(14):
        found, truth = exam(seed % 2 == 0, seed)
        stages = [
            Says("siamese", slices=found.slices),
            Says("coarse", embolus=found.embolus),
            Says("embolus", embolus=found.embolus, arteries=found.arteries),
        ]
        study = Study(np.zeros(GRID.shape, np.int16), GRID)
        seen.append(exam_seen(stages, study, truth, f"p{seed}"))
    assert set(seen[0].by_voxels) == {(), ("coarse",), ("embolus",), ("coarse", "embolus")}
    fitted = fit_subsets(seen, ("siamese", "coarse", "embolus"), "made exams")
    assert {"siamese+coarse+embolus", "coarse", "embolus", "coarse+embolus"} <= set(fitted)
    assert all(one.fitted for one in fitted.values())
    assert set(fitted["coarse"].inputs) == {"lesion", "volume"}


def test_subsets_come_large_first_and_never_without_a_score():
    found = list(subsets(STAGES))
    assert len(found[0]) == 3
    assert ("lung_detector",) not in found
    assert STAGES not in found
