"""Non-maximum suppression."""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from detectors.nms import overlap, suppress

boxes = st.tuples(*(st.floats(0, 100) for _ in range(4)), st.floats(0, 1), st.floats(0, 1)).map(
    lambda r: [r[0], r[1], r[0] + r[2], r[1] + r[3], r[4], r[5]]
)
tables = st.lists(boxes, max_size=12).map(lambda rows: np.array(rows, np.float64).reshape(-1, 6))


def test_the_better_of_two_boxes_of_one_class_stays() -> None:
    rows = np.array([[0, 0, 10, 10, 0.6, 0], [1, 0, 11, 10, 0.9, 0]])
    assert [(k.label, k.score, k.box) for k in suppress(rows, 0.5, 0.5)] == [(0, 0.9, (1, 0, 11, 10))]


def test_boxes_of_two_classes_do_not_suppress_each_other() -> None:
    rows = np.array([[0, 0, 10, 10, 0.6, 0], [0, 0, 10, 10, 0, 0.9]])
    assert [k.label for k in suppress(rows, 0.5, 0.5)] == [1, 0]


def test_rows_under_the_confidence_or_with_nan_are_no_boxes() -> None:
    rows = np.array([[0, 0, 10, 10, 0.4, 0], [np.nan, 0, 10, 10, 0.9, 0]])
    assert suppress(rows, 0.5, 0.5) == []


def test_no_rows_give_no_boxes() -> None:
    assert suppress(np.zeros((0, 6)), 0.5, 0.5) == []


def test_overlap_is_one_with_itself_and_zero_apart() -> None:
    box = np.array([0.0, 0, 4, 4])
    assert overlap(box, np.array([box, box + 10, [2, 0, 6, 4]])).tolist() == [1, 0, 1 / 3]


@given(tables, st.floats(0.05, 1), st.floats(0, 1))
def test_suppressing_twice_is_suppressing_once(rows: np.ndarray, confidence: float, iou: float) -> None:
    once = suppress(rows, confidence, iou)
    again = np.array([[*k.box, *(k.score if k.label == i else 0 for i in range(2))] for k in once]).reshape(-1, 6)
    assert suppress(again, confidence, iou) == once


@given(tables, st.randoms())
def test_the_order_of_rows_changes_nothing(rows: np.ndarray, random: Random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    assert suppress(rows[order], 0.3, 0.5) == suppress(rows, 0.3, 0.5)


@given(tables, st.floats(0.05, 0.95))
def test_boxes_that_stay_are_those_of_torchvision(rows: np.ndarray, iou: float) -> None:
    rows = rows.round(3)
    _, distinct = np.unique(rows[:, 4], return_index=True)  # its order of equal scores is not said
    rows = rows[distinct, :5]
    kept = nms(torch.from_numpy(rows[:, :4]), torch.from_numpy(rows[:, 4]), iou)
    assert [k.box for k in suppress(rows, 0.0, iou)] == [tuple(rows[i, :4].tolist()) for i in kept]
