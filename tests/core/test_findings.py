"""Findings as values: what a stage scores stands by the stage's name, and equality means every bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cascade.core.findings import Findings, LungReference, Slices
from cascade.core.grid import Grid
from cascade.core.truth import KNOWN, embolus_on

GRID = Grid.simple((3, 4, 5), (1.0, 1.0, 1.0))


def scores(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_scores_stand_by_the_names_of_their_stages_in_the_order_of_the_stages() -> None:
    slices = Slices.unknown(3).with_pe("first", scores(0, 1, 1)).with_pe("second", scores(1, 0, 0))
    assert list(slices.pe) == ["first", "second"]
    assert np.array_equal(slices.pe["second"], scores(1, 0, 0))
    again = slices.with_pe("first", scores(0, 0, 0))
    assert list(again.pe) == ["first", "second"]
    assert np.array_equal(slices.pe["first"], scores(0, 1, 1))


def test_a_mapping_that_its_maker_changes_later_changes_no_findings() -> None:
    made = {"one": scores(0, 1, 1)}
    slices = Slices(scores(1, 1, 1), made)
    made["other"] = scores(0, 0, 0)
    assert list(slices.pe) == ["one"]


def test_scores_that_are_not_one_a_slice_are_refused() -> None:
    with pytest.raises(ValueError, match="one scores"):
        Slices.unknown(3).with_pe("one", scores(0, 1))


def test_the_last_stage_that_saw_a_slice_says_how_suspicious_it_is() -> None:
    nan = float("nan")
    slices = Slices.unknown(3).with_pe("first", scores(0.1, 0.2, nan)).with_pe("second", scores(nan, 0.9, nan))
    assert slices.suspicion == pytest.approx([0.1, 0.9, nan], nan_ok=True)


def test_slices_are_equal_where_every_score_of_every_stage_is() -> None:
    nan = float("nan")
    one = Findings(GRID, slices=Slices(scores(1, 1, nan), {"a": scores(0, nan, 1), "b": scores(0, 0, 0)}))
    assert one == Findings(GRID, slices=Slices(scores(1, 1, nan), {"b": scores(0, 0, 0), "a": scores(0, nan, 1)}))
    assert one.slices is not None
    for other in (
        one.slices.with_pe("a", scores(0, nan, 0.5)),
        one.slices.with_pe("c", scores(0, 0, 0)),
        Slices(one.slices.lung, {"a": one.slices.pe["a"]}),
        Slices(one.slices.lung, {"a": one.slices.pe["a"], "c": one.slices.pe["b"]}),
    ):
        assert one != replace(one, slices=other)


def test_the_threshold_lungs_are_no_part_of_the_belief() -> None:
    found = LungReference(np.ones(GRID.shape, np.uint8), np.zeros((3, 2, 4), np.float32), 1.0, 0.0)
    assert Findings(GRID, reference=found) == Findings(GRID)


def test_a_label_of_a_slice_counts_before_the_exam_whoever_gave_it() -> None:
    for name in (KNOWN, "reader"):
        truth = Findings(GRID, slices=Slices.unknown(3).with_pe(name, scores(0, 1, float("nan"))))
        assert [embolus_on(truth, z) for z in range(2)] == [0, 1]
        assert np.isnan(embolus_on(truth, 2))
