from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.bench.accuracy import Row, froc
from cascade.core.findings import Exam, Findings
from cascade.core.grid import Box
from cascade.metrics.froc import Marks, compared, marks, sensitivity, sensitivity_with_interval
from cascade.metrics.score import score
from tests.metrics.test_score import CLOT, ELSEWHERE, GRID, SPECK, believe

VOXEL = 8.0


def numbered(*boxes: Box) -> np.ndarray:
    return believe(*boxes).lesion_mask()


def test_a_clot_has_the_confidence_of_the_surest_lesion_that_overlaps_it_and_others_are_false():
    halves = Box(1, 2, 2, 4, 2, 4), Box(2, 3, 2, 4, 2, 4)
    seen = compared(numbered(*halves, ELSEWHERE), np.array([0, 0.4, 0.9, 0.6]), numbered(CLOT), VOXEL)
    assert seen.found.tolist() == [0.9]
    assert seen.false.tolist() == [0.6]


def test_specks_are_neither_clots_nor_false_lesions():
    seen = compared(numbered(SPECK), np.array([0, 0.9]), numbered(CLOT), VOXEL)
    assert (seen.found.tolist(), seen.false.tolist()) == ([-np.inf], [])


def test_one_lesion_may_find_two_clots():
    apart = Box(1, 3, 2, 4, 5, 7)
    seen = compared(numbered(Box(1, 3, 2, 4, 2, 7)), np.array([0, 0.7]), numbered(CLOT, apart), VOXEL)
    assert seen.found.tolist() == [0.7, 0.7]


def test_nothing_is_known_of_clots_that_nobody_outlined():
    positive = Findings(GRID, exam=Exam("positive"))
    assert marks(believe(CLOT), positive) is None


def test_a_study_that_is_only_said_to_hold_no_embolus_counts_with_its_false_lesions() -> None:
    seen = marks(believe(CLOT), Findings(GRID, exam=Exam("negative")))
    assert seen is not None
    assert (seen.clots_mm3.size, seen.false.size) == (0, 1)


def test_lesions_count_by_their_probability():
    from cascade.core.findings import Lesion

    lesion = Lesion(1, 8, 64.0, 0.8, 0.9, 0.7, (0.0, 0.0, 0.0), (1, 2), "right")
    seen = marks(replace(believe(CLOT), lesions=(lesion,)), believe(CLOT))
    assert seen is not None
    assert seen.found.tolist() == [0.8]


def study(found: list[float], false: list[float], volume: float = 200.0) -> Marks:
    return Marks(np.full(len(found), volume), np.array(found), np.array(false))


def test_the_threshold_lies_above_the_first_false_lesion_that_would_be_one_too_many():
    two = [study([0.9, 0.3], [0.5]), study([], [0.8])]
    assert sensitivity(two, 0.0) == 0.5  # above 0.8
    assert sensitivity(two, 0.5) == 0.5  # one in two studies: above 0.5
    assert sensitivity(two, 1.0) == 1.0


def test_a_clot_that_is_no_surer_than_the_first_false_lesion_is_not_found_without_it():
    assert sensitivity([study([0.5], [0.5])], 0.0) == 0.0


def test_a_missed_clot_is_found_at_no_rate():
    assert sensitivity([study([-np.inf], [])], 8.0) == 0.0


def test_without_a_clot_of_that_size_there_is_no_figure():
    assert sensitivity([study([0.9], [])], 1.0, 1000.0) is None
    assert str(sensitivity_with_interval([study([], [0.1])], 1.0)) == "-"


@given(st.lists(st.tuples(st.lists(st.floats(0, 1)), st.lists(st.floats(0, 1))), min_size=1, max_size=5))
def test_more_false_lesions_allowed_never_find_fewer_clots(some):
    studies = [study(*one) for one in some]
    at = [sensitivity(studies, rate) for rate in (0.0, 0.5, 1.0, 2.0, 100.0)]
    if at[0] is not None:
        assert at == sorted(at)
        assert at[-1] == 1.0


def test_the_interval_holds_the_figure():
    figure = sensitivity_with_interval([study([0.9, 0.2], [0.5]), study([0.8], []), study([0.1], [0.3])], 0.5)
    assert figure.value == pytest.approx(
        sensitivity([study([0.9, 0.2], [0.5]), study([0.8], []), study([0.1], [0.3])], 0.5)
    )
    assert figure.low <= figure.value <= figure.high


def test_the_table_has_a_row_a_size_that_there_is():
    truth = believe(CLOT)
    rows = [
        Row("one", "cascade", score(truth, truth), study([0.9], [], 64.0)),
        Row("two", "cascade", score(truth, truth)),
    ]
    assert [(row["size"], row["clots"]) for row in froc(rows)] == [("all", 1), ("under 0.1 ml", 1)]


@given(st.lists(st.tuples(st.lists(st.floats(0, 1)), st.lists(st.floats(0, 1))), min_size=1, max_size=4))
def test_the_share_is_the_best_of_all_thresholds_that_allow_no_more_false_lesions(some):
    studies = [study(*one) for one in some]
    clots, false = (np.concatenate([getattr(one, name) for one in studies]) for name in ("found", "false"))
    thresholds = [*np.unique(np.concatenate([clots, false])), np.inf]
    for rate in (0.0, 0.5, 1.0):
        allowed = [t for t in thresholds if (false >= t).sum() <= rate * len(studies)]
        expected = max(float((clots >= t).mean()) for t in allowed) if clots.size else None
        assert sensitivity(studies, rate) == expected
