from __future__ import annotations

from dataclasses import replace

import pytest

from cascade.metrics.score import Score
from cascade.metrics.summary import summarise


def exam(positive: bool, probability: float | None, dice: float | None = None, false_positives: int = 0) -> Score:
    decision = "abstain" if probability is None else "positive" if probability > 0.5 else "negative"
    clots = int(positive)
    return Score(
        positive, dice, clots, clots, false_positives, 50.0 * false_positives, 100.0, 100.0, probability, decision
    )


def test_abstentions_are_counted_and_ranked_in_the_middle() -> None:
    summary = summarise([exam(True, 0.9, 0.8), exam(True, None, 0.4), exam(False, 0.1, false_positives=2)])
    assert summary.abstentions == 1
    assert summary.auc.value == 1.0


def test_mean_dice_is_taken_over_studies_with_a_clot() -> None:
    summary = summarise([exam(True, 0.9, 0.8), exam(True, 0.9, 0.0), exam(False, 0.1), exam(False, 0.6, 0.0, 3)])
    assert summary.dice.value == pytest.approx(0.4)
    assert summary.dice_all.value == pytest.approx(0.8 / 3)
    assert summary.false_positives_per_negative == 1.5


def test_alarms_of_a_positive_exam_that_nobody_outlined_are_not_counted() -> None:
    outlined = exam(True, 0.9, 0.8, false_positives=2)
    summary = summarise([outlined, replace(exam(True, 0.9), outlined=False), exam(False, 0.1)])
    assert summary.positives == 2
    assert summary.false_positives_per_positive == 2.0


def test_an_abstaining_positive_is_not_called_positive() -> None:
    summary = summarise([exam(True, None, 0.4), exam(False, 0.1)])
    assert summary.sensitivity.value == 0.0
    assert summary.specificity.value == 1.0
