from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cascade.core.errors import UsageError
from cascade.core.findings import Exam, Findings
from cascade.core.truth import embolus_on
from classifiers.scores import between, picture, probabilities
from tests.classifiers.chest import chest, truth


def test_values_between_seen_slices_are_linear() -> None:
    z = np.arange(5.0)
    assert between(z, [0, 4], np.array([0.0, 1.0], np.float32), 4.0).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_slices_out_of_reach_stay_unknown() -> None:
    filled = between(np.arange(8.0), [1, 2], np.array([0.5, 0.5], np.float32), 1.0)
    assert np.isfinite(filled).tolist() == [True, True, True, True, False, False, False, False]


def test_an_unknown_value_is_not_interpolated_from() -> None:
    filled = between(np.arange(3.0), [0, 1, 2], np.array([0.2, np.nan, 0.4], np.float32), 0.0)
    assert np.isnan(filled[1])
    assert filled[[0, 2]].tolist() == np.array([0.2, 0.4], np.float32).tolist()


def test_nothing_seen_is_nothing_known() -> None:
    assert np.isnan(between(np.arange(3.0), [], np.empty(0, np.float32), 9.0)).all()


def test_windows_come_in_the_order_lung_pe_mediastinal() -> None:
    channels = picture(np.full((2, 2), 200.0, np.float32))
    assert channels[:, 0, 0] == pytest.approx([1.0, (200 + 250) / 700, (200 + 160) / 400])


def test_the_embolus_mask_speaks_where_slices_do_not() -> None:
    study = chest()
    mask_only = replace(truth(study), slices=None)
    assert [embolus_on(mask_only, z) for z in (8, 9, 11, 12)] == [0, 1, 1, 0]


def test_an_exam_without_embolism_has_none_on_any_slice() -> None:
    assert embolus_on(Findings(chest().grid, exam=Exam("negative", 0.0)), 3) == 0


def test_what_the_truth_does_not_say_is_unknown() -> None:
    assert np.isnan(embolus_on(Findings(chest().grid), 3))
    assert np.isnan(embolus_on(Findings(chest().grid, exam=Exam("positive", 1.0)), 3))


def test_members_are_averaged_in_probability() -> None:
    nets = {"a": lambda b: np.full((len(b), 1), 100, np.float32), "b": lambda b: np.full((len(b), 1), -100, np.float32)}
    assert probabilities("siamese", nets, np.zeros((2, 3, 4, 4), np.float32)).tolist() == [[0.5], [0.5]]


def test_a_stage_without_networks_says_so() -> None:
    with pytest.raises(UsageError, match="without networks"):
        probabilities("siamese", {}, np.zeros((1, 3, 4, 4), np.float32))
