from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cascade.core.errors import UsageError
from cascade.core.findings import Exam, Field, Findings, Slices
from cascade.core.study import Study
from cascade.core.truth import is_positive
from cascade.fusion import Fusion, FusionParameters, LesionModel, fit, fit_measured, measure
from cascade.fusion.fit import FALSE_POSITIVES, Case, Measured, is_judged, kept_from, operating_points, worth
from cascade.fusion.logistic import fit_monotone, folds, platt
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest

STUDY, TRUTH = chest([RIGHT_CLOT, LEFT_CLOT])
CLEAR, CLEAR_TRUTH = chest([])
INPUTS = ("lesion", "volume", "siamese", "lung_filter")


def cases(count: int = 12, seed: int = 0) -> list[Case]:
    """Exams whose emboli are found with varying surety, with false positives outside the arteries."""
    rng = np.random.default_rng(seed)
    made: list[Case] = []
    for i in range(count):
        _, truth = (STUDY, TRUTH) if i % 2 else (CLEAR, CLEAR_TRUTH)
        assert truth.embolus is not None
        field = rng.integers(0, 60, truth.embolus.values.shape).astype(np.uint8)
        inside = truth.embolus.values > 0
        field[inside] = np.clip(rng.normal(rng.uniform(170, 240), 15, inside.sum()), 0, 255).astype(np.uint8)
        for _ in range(int(rng.integers(0, 4))):
            z, y, x = (int(rng.integers(4, n - 8)) for n in field.shape)
            false = rng.integers(90, 215) + rng.normal(0, 15, (3, 3, 3))
            field[z : z + 3, y : y + 3, x : x + 3] = np.clip(false, 0, 255).astype(np.uint8)
        n = truth.grid.shape[0]
        on = truth.slices.suspicion if truth.slices is not None else np.zeros(n, np.float32)
        score = np.clip(0.2 + 0.5 * on + rng.normal(0, 0.15, n), 0.001, 0.999).astype(np.float32)
        slices = Slices(np.ones(n, np.float32), {"lung_filter": score, "siamese": score})
        made.append((None, replace(truth, embolus=Field(field, truth.embolus.box), labels=None, slices=slices), truth))
    return made


@pytest.fixture(scope="module")
def fitted() -> FusionParameters:
    return fit(cases(), INPUTS)


def test_fitting_gives_coefficients_that_are_never_negative(fitted: FusionParameters) -> None:
    assert fitted.fitted
    assert set(fitted.coefficients) == set(INPUTS)
    assert min(fitted.coefficients.values()) >= 0
    assert min(fitted.lesions.coefficients.values()) >= 0
    assert fitted.calibration.slope > 0


def test_a_fitted_fusion_tells_unseen_exams_apart(fitted: FusionParameters) -> None:
    found: dict[bool, list[float]] = {True: [], False: []}
    for _, findings, truth in cases(8, seed=7):
        study: Study = STUDY if is_positive(truth) else CLEAR
        result = Fusion(fitted)(study, findings)
        assert result.exam is not None
        assert result.exam.probability is not None
        found[is_positive(truth)].append(result.exam.probability)
        if is_positive(truth):
            assert {lesion.side for lesion in result.lesions or ()} == {"left", "right"}
    assert min(found[True]) > max(found[False])


def test_operating_points_are_in_order_with_their_figures(fitted: FusionParameters) -> None:
    points = fitted.operating_points
    assert points["rule_out"].threshold <= points["balanced"].threshold <= points["rule_in"].threshold
    assert points["rule_out"].sensitivity >= 0.95
    assert points["rule_in"].specificity >= 0.95
    low, high = points["rule_out"].interval["sensitivity"]
    assert low < points["rule_out"].sensitivity <= high
    assert "6 with, 6 without embolism" in points["rule_out"].measured_on


def measured(found: float, false_positives: Sequence[float] = (0.0,) * 6) -> list[Measured]:
    """Exams with a clot of 1 ml, of which a share is marked; and without, in which so many mm3 are. Both look alike."""
    inputs = np.array([[6.0, 3.0, 2.0, 0.9, 1.0, 0.0, -0.1]])
    some = []
    for false in false_positives:
        hit = np.array([1000.0 * found])
        some.append(Measured(TRUTH, True, inputs, hit, np.array([True]), hit, 1000.0))
        marked = np.array([false] if false else [])
        nothing = np.zeros(len(marked), bool)
        some.append(Measured(CLEAR_TRUTH, False, inputs[: len(marked)], marked, nothing, 0.0 * marked, 0.0))
    return some


def test_a_voxel_threshold_is_worth_the_outlines_that_it_keeps_at_few_false_positives() -> None:
    assert worth(measured(0.9), LesionModel(), None) > worth(measured(0.8), LesionModel(), None) > 0
    # What looks like the clots stands in exams without: to keep the one would be to keep the other.
    assert worth(measured(0.9, [800, 0, 800, 0, 800, 0]), LesionModel(), None) == 0


def test_lesions_are_kept_down_to_so_many_false_positives_an_exam() -> None:
    clear = Measured(CLEAR_TRUTH, False, np.zeros((2, 7)), np.full(2, 50.0), np.zeros(2, bool), np.zeros(2))
    odds = [np.array([-2.0, 0.1 * i]) for i in range(20)]
    threshold = kept_from([clear] * 20, odds)
    assert sum(int((1 / (1 + np.exp(-some)) >= threshold).sum()) for some in odds) == int(20 * FALSE_POSITIVES)
    told = replace(clear, positive=True, true=None, hit_mm3=None)
    assert kept_from([clear] * 20 + [told] * 20, odds + [np.full(2, 9.0)] * 20) == threshold
    assert kept_from([clear] * 20, [np.zeros(2)] * 20) > 0.5


def test_false_lesions_that_are_as_sure_as_can_be_leave_nothing_to_keep() -> None:
    clear = Measured(CLEAR_TRUTH, False, np.zeros((2, 7)), np.full(2, 50.0), np.zeros(2, bool), np.zeros(2))
    assert kept_from([clear] * 5, [np.full(2, 50.0)] * 5) == 1.0
    assert operating_points(np.ones(12), np.array([0.0, 1.0] * 6), "")["rule_in"].threshold == 1.0


def test_a_lesion_that_is_not_kept_speaks_for_the_exam(fitted: FusionParameters) -> None:
    strict = replace(fitted, lesions=replace(fitted.lesions, threshold=1.0))
    _, findings, _ = cases()[1]
    kept, none = (Fusion(some)(STUDY, findings) for some in (fitted, strict))
    assert kept.lesions
    assert not none.lesions
    assert kept.exam is not None
    assert none.exam is not None
    assert none.exam.probability == kept.exam.probability


def test_exams_that_nobody_outlined_leave_the_default_threshold() -> None:
    told = Measured(TRUTH, True, np.zeros((1, 7)), np.full(1, 1000.0), None)
    assert kept_from([told], [np.zeros(1)]) == LesionModel().threshold
    assert worth([told], LesionModel(), None) == 0


def test_fitting_twice_gives_the_same_numbers(fitted: FusionParameters) -> None:
    assert fit(cases(), INPUTS) == fitted


def test_a_subset_is_fitted_without_another_look_at_the_voxels() -> None:
    lesions = LesionModel(seed=0.0)
    exams = [measure(case, lesions) for case in cases()]
    assert all(exam.findings.embolus is None for exam in exams)
    for inputs in (("lesion", "volume"), ("lesion", "volume", "lung_filter"), ("siamese",)):
        fitted = fit_measured(exams, lesions, inputs)
        assert fitted.inputs == inputs
        assert fitted.fitted


def test_too_few_exams_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 5 exams with and 5 without embolism, got 2 and 2"):
        fit(cases(4), INPUTS)


def test_a_truth_that_says_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="E_NO_TRUTH"):
        is_positive(Findings(STUDY.grid))
    assert is_positive(Findings(STUDY.grid, exam=Exam("positive")))


def test_a_positive_exam_that_nobody_outlined_does_not_teach_that_its_clots_are_alarms(
    fitted: FusionParameters,
) -> None:
    labelled = [(study, seen, replace(truth, embolus=None, labels=None)) for study, seen, truth in cases()[1:4:2]]
    assert all(measure(case, LesionModel(seed=0.0)).true is None for case in labelled)
    assert fit([*cases(), *labelled], INPUTS).lesions.coefficients == pytest.approx(
        fitted.lesions.coefficients, rel=1e-3
    )


def test_an_exam_that_its_readers_left_open_judges_nothing() -> None:
    open_exam = Exam("abstain")
    assert [is_judged(replace(TRUTH, exam=exam)) for exam in (None, Exam("positive"), open_exam)] == [True, True, False]
    assert not is_judged(Findings(STUDY.grid))


def test_perfectly_parted_exams_leave_a_band_for_review() -> None:
    probability = np.array([0.1] * 10 + [0.9] * 10)
    points = operating_points(probability, np.array([0.0] * 10 + [1.0] * 10), "")
    assert 0.1 < points["rule_out"].threshold <= points["rule_in"].threshold < 0.9


def test_patients_stay_in_one_fold_and_positives_are_dealt_out() -> None:
    y = [True] * 10 + [False] * 30
    names = [f"p{i // 2}" for i in range(40)]
    fold = folds(y, names)
    assert all(len({f for f, n in zip(fold, names, strict=True) if n == name}) == 1 for name in names)
    assert all(any(hit for hit, f in zip(y, fold, strict=True) if f == k) for k in set(fold.tolist()))


def test_a_useless_input_gets_no_weight_and_a_reversed_one_none_at_all() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.5).astype(float)
    x = np.stack([y + rng.normal(0, 1, 400), rng.normal(0, 1, 400), -y + rng.normal(0, 0.5, 400)], axis=1)
    _, weights = fit_monotone(x, y)
    assert weights[0] > 0.5
    assert weights[1] < 0.3
    assert weights[2] == 0


def test_calibration_turns_odds_into_shares() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 3, 4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 * odds - 1)))).astype(float)
    slope, offset = platt(odds, y)
    assert slope == pytest.approx(0.5, abs=0.06)
    assert offset == pytest.approx(-1, abs=0.12)
