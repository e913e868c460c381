"""From boxes on some slices to one region."""

from __future__ import annotations

import numpy as np

from cascade.core.grid import Box, Grid
from detectors.region import area_ratio, around, fill, join, widen, without_leaps, without_strays

NOTHING = np.full((2, 4), np.nan, np.float32)


def both(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0, x1, y1]] * 2, np.float32)


def test_a_slice_between_two_has_the_box_around_both() -> None:
    filled = fill(np.stack([both(2, 2, 6, 6), both(3, 1, 9, 5)]), [1, 4], 6)
    assert filled[2, 0].tolist() == [2, 1, 9, 6]
    assert filled[1, 0].tolist() == [2, 2, 6, 6]


def test_the_nearest_box_holds_beyond_the_ends() -> None:
    filled = fill(np.stack([both(2, 2, 6, 6), both(3, 1, 9, 5)]), [1, 4], 6)
    assert filled[0, 1].tolist() == [2, 2, 6, 6]
    assert filled[5, 1].tolist() == [3, 1, 9, 5]


def test_a_lung_goes_on_to_the_next_slice_that_shows_none() -> None:
    filled = fill(np.stack([NOTHING, both(3, 1, 9, 5)]), [0, 4], 5)
    assert np.isnan(filled[0]).all()
    assert filled[1, 0].tolist() == [3, 1, 9, 5]


def test_a_box_alone_among_slices_is_a_stray() -> None:
    boxes = np.stack([both(0, 0, 1, 1), NOTHING, both(0, 0, 1, 1), both(0, 0, 1, 1)])
    kept = without_strays(boxes, 2)
    assert np.isnan(kept[0]).all()
    assert np.isfinite(kept[2:]).all()


def test_a_study_of_one_slice_has_no_strays() -> None:
    assert np.isfinite(without_strays(both(0, 0, 1, 1)[None], 2)).all()


def test_a_box_much_wider_than_both_neighbours_is_cut_back() -> None:
    boxes = np.stack([both(20, 20, 60, 60), both(20, 20, 60, 200), both(18, 20, 60, 66)])
    cut = without_leaps(boxes, np.array([0.0, 10, 20]), (1.0, 1.0), 2.0)
    assert cut[1, 0].tolist() == [20, 20, 60, 86]
    assert np.array_equal(cut[[0, 2]], boxes[[0, 2]])


def test_a_lung_that_widens_step_by_step_is_kept() -> None:
    boxes = np.stack([both(60 - 15 * i, 60 - 15 * i, 60 + 15 * i, 60 + 15 * i) for i in range(1, 4)])
    assert np.array_equal(without_leaps(boxes, np.array([0.0, 10, 20]), (1.0, 1.0), 2.0), boxes)


def test_a_box_without_neighbours_is_kept() -> None:
    boxes = np.stack([NOTHING, both(1, 2, 3, 4), NOTHING])
    assert np.array_equal(without_leaps(boxes, np.array([0.0, 10, 20]), (1.0, 1.0), 2.0), boxes, equal_nan=True)


def test_joining_with_nothing_changes_nothing() -> None:
    a = both(1, 2, 3, 4)
    assert np.array_equal(join(a, NOTHING), a)
    assert np.isnan(join(NOTHING, NOTHING)).all()


def test_the_region_holds_every_box_and_its_margin_is_in_millimetres() -> None:
    boxes = np.stack([NOTHING, both(2.5, 3, 6, 7.2), NOTHING])
    box = around(boxes)
    assert box == Box(1, 2, 3, 8, 2, 6)
    assert widen(box, Grid.simple((3, 20, 20), (10, 2, 4)), 4) == Box(0, 3, 1, 10, 1, 7)


def test_no_boxes_are_no_region() -> None:
    assert around(NOTHING[None]) is None
    assert widen(None, Grid.simple((3, 20, 20), (10, 2, 4)), 4) is None


def test_regions_agree_with_themselves_and_not_with_none() -> None:
    box = Box(0, 2, 0, 2, 0, 2)
    assert area_ratio(box, box) == 1
    assert area_ratio(None, None) == 1
    assert area_ratio(box, None) == 0
    assert area_ratio(box, Box(0, 2, 0, 2, 1, 3)) == 1 / 3
