from __future__ import annotations

import math

import numpy as np
import pytest

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box
from cascade.training.scans import hd95, means, row_of
from cascade.training.slices import average_precision
from tests.training.test_imbalance import GRID, WITH, WITHOUT, scan

WHOLE = Box(0, 12, 0, 64, 0, 64)


def test_the_truth_itself_has_every_figure_of_a_perfect_answer() -> None:
    row = row_of(WITH, WITH.truth)
    assert [row[name] for name in ("dice", "iou", "sensitivity", "precision", "lesion_f1")] == [1.0] * 5
    assert row["hd95_mm"] == 0.0
    assert row["truth_ml"] == row["answer_ml"] == pytest.approx(4 * 6 * 8 * 2.0 * 1.25**2 / 1000)


def test_half_of_a_clot_with_a_false_alarm_beside_it() -> None:
    answer = scan(slice(20, 24)).truth
    assert answer.embolus is not None
    values = answer.embolus.values.copy()
    values[4:8, 29:35, 50:54] = 255
    row = row_of(WITH, Findings(GRID, embolus=Field(values, WHOLE)))
    assert [row[n] for n in ("dice", "iou", "sensitivity", "precision")] == pytest.approx([0.5, 1 / 3, 0.5, 0.5])
    assert row["lesion_f1"] == pytest.approx(2 / 3)
    assert row["hd95_mm"] == pytest.approx(26 * 1.25, abs=1.3)


def test_what_is_not_there_has_no_figure_and_counts_in_no_mean() -> None:
    empty = row_of(WITHOUT, Findings(GRID, embolus=Field(np.zeros(GRID.shape, np.uint8), WHOLE)))
    assert all(math.isnan(float(empty[name])) for name in ("dice", "iou", "sensitivity", "lesion_f1", "hd95_mm"))
    assert means([empty, row_of(WITH, WITH.truth)])["scan_dice"] == 1.0
    assert means([empty]) == {}


def test_the_distance_of_surfaces_is_in_millimetres_along_each_axis() -> None:
    a, b = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    a[5, 5:15, 5:15] = b[8, 5:15, 5:15] = True
    assert hd95(a, b, (2.0, 1.0, 1.0)) == 6.0
    assert hd95(b, a, (2.0, 1.0, 1.0)) == 6.0
    assert math.isnan(hd95(a, 0 * a, (1.0, 1.0, 1.0)))


def test_average_precision_tells_equal_scores_together() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(truth, np.full(4, 0.5)) == 0.5
