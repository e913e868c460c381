from __future__ import annotations

import math

import numpy as np
import pytest

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box
from cascade.training.scans import means, row_of
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
