from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cascade.metrics.intervals import Figure, auc_with_interval, bootstrap, mean, wilson


def test_the_interval_of_the_area_holds_the_area_and_repeats_with_its_seed() -> None:
    truth = np.array([True] * 8 + [False] * 8)
    ranked = np.linspace(0, 1, 16)[::-1] + 0.3 * np.sin(np.arange(16))
    first, second = auc_with_interval(truth, ranked, 1), auc_with_interval(truth, ranked, 1)
    assert first == second
    assert first.low <= first.value <= first.high


def test_a_draw_that_lacks_one_kind_is_drawn_again() -> None:
    assert auc_with_interval(np.array([True, False]), np.array([0.9, 0.1])) == Figure(1.0, 1.0, 1.0)


def test_what_no_study_defines_has_no_figure() -> None:
    assert mean([]) == auc_with_interval(np.ones(3, bool), np.zeros(3)) == wilson(0, 0) == Figure(None)
    assert str(Figure(None)) == "-"


def test_the_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(4).normal(size=40)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    ours = bootstrap(lambda pick: float(values[pick].mean()), 40)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_wilson_does_not_claim_certainty_from_ten_of_ten() -> None:
    assert wilson(10, 10).low == pytest.approx(0.722, abs=0.002)
    assert wilson(10, 10).high == 1.0


def test_wilsons_interval_is_the_textbooks() -> None:
    share = wilson(19, 20)
    assert (share.value, share.low, share.high) == pytest.approx((0.95, 0.764, 0.991), abs=0.001)
