"""Two stages' findings as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box, Grid
from segmenters.embolus import EmbolusEnsemble
from segmenters.together import together
from tests.segmenters.test_embolus_stage import SMALL, study_with_ball

GRID = Grid.simple((6, 8, 8), (2.0, 2.0, 2.0))
WHOLE, PART = Box(0, 6, 0, 8, 0, 8), Box(2, 6, 0, 8, 0, 8)


def says(embolus: int, box: Box = WHOLE) -> Findings:
    values = np.full(box.shape, embolus, np.uint8)
    return Findings(GRID, embolus=Field(values, box), arteries=Field(values, box), std=Field(0 * values, box))


def test_the_answer_is_the_geometric_mean() -> None:
    both = together(says(204), says(51), 0.5)  # 0.8 and 0.2
    assert both.embolus is not None
    assert both.std is not None
    assert (np.abs(both.embolus.values.astype(int) - 127.5) <= 1).all()
    assert (np.abs(both.std.values.astype(int) - 76.5) <= 1).all()
    sure = together(says(255), says(128), 0.5).embolus
    assert sure is not None
    assert (sure.values > 240).all()


def test_all_weight_on_one_side_is_that_side() -> None:
    for weight, known in ((0.0, 51), (1.0, 204)):
        both = together(says(204), says(51), weight)
        assert both.embolus is not None
        assert both.arteries is not None
        assert (both.embolus.values == known).all()
        assert (both.arteries.values == known).all()


def test_where_the_earlier_stage_did_not_look_the_later_decides() -> None:
    both = together(says(204, PART), says(51), 0.5)
    assert both.embolus is not None
    assert (both.embolus.values[:2] == 51).all()
    assert (both.embolus.values[2:] > 100).all()
    alone = together(Findings(GRID), says(51), 0.5)
    assert alone.embolus is not None
    assert (alone.embolus.values == 51).all()


def test_the_ensemble_takes_in_what_it_finds_only_when_it_is_told_to() -> None:
    study, truth = study_with_ball()
    sure = Field(np.full(study.grid.shape, 255, np.uint8), Box(0, 30, 0, 70, 0, 90))
    before = Findings(study.grid, lungs=truth.lungs, embolus=sure, arteries=sure)
    answers = [
        (f, np.full((3, *f.size), 0.5, np.float32)) for f in EmbolusEnsemble(config=SMALL).patches(study, before)
    ]
    alone = EmbolusEnsemble(config=SMALL).postprocess(study, before, answers).embolus
    mixed = EmbolusEnsemble(config=replace(SMALL, before=0.5)).postprocess(study, before, answers).embolus
    assert alone is not None
    assert mixed is not None
    assert (alone.values == 128).all()
    assert (mixed.values > 240).all()
