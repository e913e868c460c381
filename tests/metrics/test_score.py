from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Exam, Field, Findings
from cascade.core.grid import Box, Grid
from cascade.metrics.score import score

GRID = Grid.simple((6, 10, 10), (2.0, 2.0, 2.0))  # a voxel is 8 mm3
ALL = Box(0, 6, 0, 10, 0, 10)


def believe(*boxes: Box, exam: Exam | None = None, grid: Grid = GRID) -> Findings:
    labels: NDArray[np.uint8] = np.zeros(grid.shape, np.uint8)
    for number, box in enumerate(boxes, start=1):
        labels[box.slices] = number
    return Findings(grid, labels=Field(labels, ALL), exam=exam)


CLOT = Box(1, 3, 2, 4, 2, 4)  # 8 voxels, 64 mm3
ELSEWHERE = Box(3, 5, 7, 9, 7, 9)
SPECK = Box(5, 6, 9, 10, 9, 10)  # 8 mm3


def test_the_truth_itself_scores_one():
    result = score(believe(CLOT), believe(CLOT))
    assert (result.dice, result.clots, result.found, result.false_positives) == (1.0, 1, 1, 0)


def test_half_of_a_clot_scores_two_thirds_and_counts_as_found():
    result = score(believe(Box(1, 2, 2, 4, 2, 4)), believe(CLOT))
    assert result.dice == pytest.approx(2 / 3)
    assert result.found == 1


def test_a_missed_clot_scores_zero_and_is_not_left_out():
    result = score(believe(), believe(CLOT))
    assert (result.dice, result.clots, result.found) == (0.0, 1, 0)


def test_dice_of_two_empty_masks_is_undefined():
    result = score(believe(), believe())
    assert result.dice is None
    assert not result.positive


def test_an_alarm_in_a_negative_study_scores_zero_not_one():
    result = score(believe(ELSEWHERE), believe())
    assert (result.dice, result.false_positives) == (0.0, 1)
    assert result.false_positive_mm3 == pytest.approx(64.0)


def test_a_positive_exam_that_nobody_outlined_is_positive_and_says_nothing_of_clots_and_alarms():
    result = score(believe(ELSEWHERE), Findings(GRID, exam=Exam("positive")))
    assert result.positive
    assert not result.outlined
    assert (result.dice, result.clots, result.false_positives) == (None, 0, 0)


def test_in_a_negative_exam_without_a_mask_every_lesion_is_an_alarm():
    result = score(believe(ELSEWHERE), Findings(GRID, exam=Exam("negative")))
    assert result.outlined
    assert (result.positive, result.false_positives) == (False, 1)


def test_a_truth_that_does_not_say_is_refused_rather_than_called_negative():
    with pytest.raises(UsageError, match="E_NO_TRUTH"):
        score(believe(ELSEWHERE), Findings(GRID))


def test_a_lesion_that_touches_a_clot_is_no_alarm():
    result = score(believe(CLOT, ELSEWHERE), believe(CLOT))
    assert (result.found, result.false_positives) == (1, 1)


def test_specks_under_40_mm3_are_no_alarms():
    assert score(believe(SPECK), believe()).false_positives == 0


def test_specks_under_30_mm3_are_no_clots_to_be_found():
    result = score(believe(), believe(CLOT, SPECK))
    assert (result.clots, result.positive) == (1, True)


def test_lesions_of_findings_without_numbers_are_components_of_the_mask():
    probability = np.zeros(GRID.shape, np.uint8)
    probability[CLOT.slices] = 200
    probability[ELSEWHERE.slices] = 200
    answer = Findings(GRID, embolus=Field(probability, ALL))
    result = score(answer, believe(CLOT))
    assert (result.found, result.false_positives) == (1, 1)


def test_an_abstention_has_no_probability_and_is_ranked_in_the_middle():
    result = score(believe(exam=Exam("abstain", reason="thick slices")), believe(CLOT))
    assert result.probability is None
    assert result.ranked == 0.5


def test_another_study_is_refused():
    other = Grid.simple((6, 10, 10), (1.0, 2.0, 2.0))
    with pytest.raises(InputError, match="E_GRID"):
        score(believe(CLOT), believe(CLOT, grid=other))
