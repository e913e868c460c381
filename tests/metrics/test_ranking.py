from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.metrics.ranking import auc, average_precision, balanced_accuracy, brier

few_scores = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])), max_size=30)
"""Truth and score; of few values, so that many are equal."""


def all_pairs(truth: np.ndarray, score: np.ndarray) -> float | None:
    above = score[truth][:, None] - score[~truth][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0))) if above.size else None


def test_area_is_one_when_every_positive_ranks_above_every_negative() -> None:
    assert auc(np.array([True, True, False]), np.array([0.9, 0.6, 0.5])) == 1.0


def test_ties_count_half() -> None:
    assert auc(np.array([True, False]), np.array([0.5, 0.5])) == 0.5


def test_area_is_undefined_without_both_kinds() -> None:
    assert auc(np.array([True]), np.array([0.5])) is None
    assert auc(np.zeros(0, bool), np.zeros(0)) is None


@given(few_scores)
def test_the_area_is_the_share_of_all_pairs_that_are_in_order(rows: list[tuple[bool, float]]) -> None:
    truth, score = np.array([t for t, _ in rows], bool), np.array([s for _, s in rows], float)
    assert auc(truth, score) == all_pairs(truth, score)


def test_a_score_that_is_no_number_is_ranked_wrongly_and_leaves_a_figure() -> None:
    truth = np.array([True, True, False, False])
    assert auc(truth, np.full(4, np.nan)) == 0.0
    assert auc(truth, np.array([0.9, np.nan, 0.1, 0.2])) == 0.5


def test_the_area_over_60000_slices_takes_the_time_and_memory_of_a_sort() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(60_000) < 0.1, rng.random(60_000).round(4)
    seconds = []
    for _ in range(3):  # the quickest: others may be using the machine
        start = time.perf_counter()
        auc(truth, score)
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    auc(truth, score)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert min(seconds) < 0.1
    assert peak < 100e6


def test_average_precision_takes_equal_scores_together() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(truth, np.full(4, 0.5)) == 0.5


def test_balanced_accuracy_of_one_answer_for_all_is_a_half() -> None:
    assert balanced_accuracy(np.array([True, False, False, False]), np.ones(4, bool)) == 0.5


def test_brier_is_the_mean_square_of_the_error() -> None:
    assert brier(np.array([True, False]), np.array([0.9, 0.2])) == pytest.approx((0.01 + 0.04) / 2)
    assert brier(np.zeros(0, bool), np.zeros(0)) is None
