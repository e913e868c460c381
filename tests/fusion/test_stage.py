from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.anatomy.lungs import find_lungs
from cascade.core.findings import Exam, Field, Findings, Slices
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.fusion import Fusion, LesionModel
from cascade.fusion.candidates import find
from cascade.fusion.gates import artery_hu, judge, longest_run, mediastinal_hu, noise
from cascade.fusion.stage import answer, exam_inputs
from tests.small_bundle import parameters
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest

STUDY, TRUTH = chest([RIGHT_CLOT, LEFT_CLOT])
CLEAR, CLEAR_TRUTH = chest([])


def seen(truth: Findings, probability: float = 1.0) -> Findings:
    """Findings of stages that see what is there, so surely."""
    assert truth.embolus is not None
    field = replace(truth.embolus, values=(truth.embolus.values * probability).astype(np.uint8))
    return replace(truth, embolus=field, labels=None, exam=None)


def codes(findings: Findings) -> list[str]:
    return [note.code for note in findings.warnings]


def decided(findings: Findings) -> Exam:
    assert findings.exam is not None
    return findings.exam


# Lesions


def test_a_lesion_has_its_volume_place_and_side() -> None:
    found = Fusion(parameters())(STUDY, seen(TRUTH)).lesions
    assert found is not None
    assert [lesion.number for lesion in found] == [1, 2]
    by_side = {lesion.side: lesion for lesion in found}
    for side, (z, y, x, radius) in (("right", RIGHT_CLOT), ("left", LEFT_CLOT)):
        lesion = by_side[side]
        assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.25)
        middle = STUDY.grid.to_mm(np.array([(n - 1) / 2 for n in STUDY.grid.shape]))
        assert lesion.centroid_mm == pytest.approx((middle[0] + x, middle[1] + y, middle[2] + z), abs=1.5)


@pytest.mark.parametrize(
    ("radius_mm", "place"), [(9.0, "central"), (5.0, "lobar"), (3.0, "segmental"), (1.5, "subsegmental")]
)
def test_a_lesions_place_is_the_widest_artery_that_it_lies_in(radius_mm: float, place: str) -> None:
    shape, spacing = (30, 60, 60), (1.0, 0.8, 0.8)
    _, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    tube = np.hypot(y - 30, x - 30) * 0.8 <= radius_mm
    clot = np.array(tube)
    clot[:10] = clot[20:] = False  # fills the artery over a part of its length, where it is no artery to a network
    whole = Box(0, *shape[:1], 0, *shape[1:2], 0, *shape[2:])
    empty = Study(np.full(shape, -800, np.int16), Grid.simple(shape, spacing))
    arteries = Field(np.where(tube & ~clot, 255, 0).astype(np.uint8), whole)
    findings = Findings(empty.grid, embolus=Field((clot * 255).astype(np.uint8), whole), arteries=arteries)
    found = Fusion(parameters())(empty, findings).lesions
    assert found is not None
    assert [lesion.place for lesion in found] == [place]
    unknown = Fusion(parameters())(empty, replace(findings, arteries=None)).lesions
    assert unknown is not None
    assert [lesion.place for lesion in unknown] == [None]


def test_labels_are_numbered_by_falling_probability_then_volume() -> None:
    findings = seen(TRUTH)
    assert findings.embolus is not None
    values = findings.embolus.values.copy()
    values[:, :, : values.shape[2] // 2] = (values[:, :, : values.shape[2] // 2] * 0.7).astype(np.uint8)
    result = Fusion(parameters())(STUDY, replace(findings, embolus=replace(findings.embolus, values=values)))
    assert result.lesions is not None
    assert [lesion.side for lesion in result.lesions] == ["left", "right"]
    mask = result.lesion_mask()
    for lesion in result.lesions:
        z = np.nonzero(mask == lesion.number)[0]
        assert len(z) == lesion.voxels
        assert (int(z.min()), int(z.max())) == lesion.slices


def test_a_component_without_a_sure_voxel_or_too_small_is_no_lesion() -> None:
    model = LesionModel(grow=0.3, seed=0.6, min_volume_mm3=30.0)
    assert len(find(seen(TRUTH, 0.5), model) or ()) == 0
    assert len(find(seen(TRUTH, 0.7), model) or ()) == 2
    dot = np.zeros_like(TRUTH.embolus.values)  # type: ignore[union-attr]  # it is there
    dot[5, 5, 5] = 255
    one = replace(seen(TRUTH), embolus=replace(TRUTH.embolus, values=dot))  # type: ignore[type-var]  # it is there
    assert len(find(one, model) or ()) == 0


def test_a_faint_rim_belongs_to_the_lesion_whose_core_is_sure() -> None:
    findings = seen(TRUTH, 0.4)
    values = findings.embolus.values.copy()  # type: ignore[union-attr]  # it is there
    core = seen(chest([(*RIGHT_CLOT[:3], 4.0), (*LEFT_CLOT[:3], 4.0)])[1])
    values[core.embolus.values > 0] = 250  # type: ignore[union-attr]  # it is there
    found = find(replace(findings, embolus=replace(findings.embolus, values=values)), LesionModel(0.3, 0.9))  # type: ignore[type-var]  # it is there
    assert found is not None
    assert sorted(found.voxels) == sorted(np.bincount(TRUTH.labels.values.ravel())[1:])  # type: ignore[union-attr]  # it is there


def test_a_component_knows_whether_it_touches_the_artery_tree_and_how_far_it_is() -> None:
    values = TRUTH.embolus.values.copy()  # type: ignore[union-attr]  # it is there
    values[4:7, 4:7, 4:7] = 255
    seen_there = replace(TRUTH, embolus=replace(TRUTH.embolus, values=values))  # type: ignore[type-var]  # it is there
    found = find(seen_there, LesionModel(coefficients={"in_tree": 1.0}))
    assert found is not None
    far = int(np.argmin(found.voxels))
    assert found.in_tree[far] == 0
    assert found.tree_mm[far] > 30
    assert found.in_tree.sum() == 2
    assert found.tree_mm.sum() == found.tree_mm[far]


def test_a_lesion_in_the_middle_is_on_both_sides() -> None:
    study, truth = chest([(0.0, 0.0, 0.0, 12.0)])
    found = Fusion(parameters())(study, seen(truth)).lesions
    assert found is not None
    assert [lesion.side for lesion in found] == ["both"]


# The exam


def test_a_probability_falls_into_negative_review_or_positive() -> None:
    for rule_out, rule_in, expected in ((0.0, 0.0, "positive"), (0.0, 1.0, "review"), (1.0, 1.0, "negative")):
        exam = decided(Fusion(parameters(rule_out, rule_in))(STUDY, seen(TRUTH)))
        assert exam.decision == expected
        assert exam.reason.startswith(expected)
        assert exam.probability is not None


def test_a_decision_carries_what_drove_it() -> None:
    exam = decided(Fusion(parameters())(STUDY, seen(TRUTH)))
    assert {c.input for c in exam.contributions} == {"lesion", "volume"}
    effects = [abs(c.effect) for c in exam.contributions]
    assert effects == sorted(effects, reverse=True)
    odds = sum(c.effect for c in exam.contributions) + parameters().intercept
    assert exam.probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-5)
    assert "2 lesions" in exam.reason


def test_a_clear_study_is_negative_and_has_no_lesion() -> None:
    findings = Fusion(parameters())(CLEAR, seen(CLEAR_TRUTH))
    assert findings.lesions == ()
    assert decided(findings).decision == "negative"
    assert "no lesion was found" in decided(findings).reason


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["lesion", "volume"]), st.floats(0, 5)), st.floats(-6, 6), st.floats(0, 9))
def test_more_of_any_input_never_lowers_the_probability(more: dict[str, float], lesion: float, volume: float) -> None:
    low = {"lesion": lesion, "volume": volume}
    high = {name: value + more.get(name, 0) for name, value in low.items()}
    assert answer(parameters(), high)[0] >= answer(parameters(), low)[0]


def test_an_input_that_is_unknown_counts_as_the_usual_one() -> None:
    usual = parameters().baselines
    unknown = {"lesion": float("nan"), "volume": float("nan")}
    assert answer(parameters(), unknown)[0] == answer(parameters(), usual)[0]


def test_without_the_embolus_stage_there_are_no_lesions_and_slices_decide() -> None:
    findings = replace(seen(TRUTH), embolus=None, arteries=None)
    slices_only = parameters(
        inputs=("siamese",), coefficients={"siamese": 1.0}, baselines={"siamese": -3.0}, intercept=-2.0
    )
    result = Fusion(slices_only)(STUDY, findings)
    assert result.lesions is None
    assert result.labels is None
    assert decided(result).probability is not None
    assert decided(Fusion()(STUDY, findings)).decision == "abstain"


def test_a_reason_names_the_stage_whose_slices_drove_it() -> None:
    scores = np.full(STUDY.grid.shape[0], 0.9, np.float32)
    slices = Slices(np.ones_like(scores), {"vessel_reader": scores})
    model = parameters(
        inputs=("vessel_reader",), coefficients={"vessel_reader": 2.0}, baselines={"vessel_reader": -3.0}
    )
    exam = decided(Fusion(model)(STUDY, replace(seen(TRUTH), embolus=None, slices=slices)))
    assert [c.input for c in exam.contributions] == ["vessel_reader"]
    assert exam.contributions[0].value == pytest.approx(np.log(9), abs=1e-4)
    assert "most came from the highest slices by vessel_reader (+10.4 log-odds)" in exam.reason


def test_the_constants_of_the_fusion_are_its_parameters() -> None:
    usual = parameters()
    none = exam_inputs(replace(usual, no_lesion=-4.0), CLEAR_TRUTH, np.zeros(0), np.zeros(0))
    assert none["lesion"] == -4.0
    scores = np.linspace(0.1, 0.9, STUDY.grid.shape[0]).astype(np.float32)
    one = replace(TRUTH, slices=Slices(np.ones_like(scores), {"any": scores}))
    narrow, wide = (exam_inputs(replace(usual, top_mm=mm), one, None, np.zeros(0))["any"] for mm in (3.0, 60.0))
    assert narrow == pytest.approx(np.log(9), abs=1e-4)
    assert wide < narrow


# Gates


def test_a_study_without_lungs_abstains_with_its_code() -> None:
    study, truth = chest(lungs=False)
    result = Fusion(parameters())(study, seen(truth))
    assert decided(result).decision == "abstain"
    assert decided(result).probability is None
    assert codes(result) == ["W_NOT_CHEST"]


def test_a_study_in_which_the_lung_filter_sees_no_lung_is_no_chest() -> None:
    slices = Slices(np.zeros(STUDY.grid.shape[0], np.float32))
    assert codes(Fusion(parameters())(STUDY, replace(seen(TRUTH), slices=slices))) == ["W_NOT_CHEST"]


def test_no_chest_says_what_is_missing_and_not_what_is_there() -> None:
    slices = Slices(np.zeros(STUDY.grid.shape[0], np.float32))
    volume_is_fine = Fusion(parameters())(STUDY, replace(seen(TRUTH), slices=slices)).warnings[0].text
    assert "the networks take at most 0 of them in a row for lung" in volume_is_fine
    assert "500 ml" not in volume_is_fine
    head, _ = chest(lungs=False)
    no_volume = Fusion(parameters())(head, Findings(head.grid)).warnings[0].text
    assert "at least 500 ml needed" in no_volume
    assert "slices" not in no_volume


@pytest.mark.parametrize("arteries", [True, False])
def test_arteries_without_contrast_abstain_with_their_hu(arteries: bool) -> None:
    study, truth = chest([], contrast_hu=60.0)
    findings = seen(truth) if arteries else replace(seen(truth), arteries=None, embolus=None)
    result = Fusion(parameters())(study, findings)
    assert "W_NO_CONTRAST" in codes(result)
    assert decided(result).decision == "abstain"
    assert result.lungs is not None
    assert result.quality is not None
    assert result.quality.contrast_hu == pytest.approx(60, abs=25)
    assert result.quality.contrast_source == ("arteries" if arteries else "mediastinum")


def test_contrast_is_measured_in_the_arteries_core_and_not_in_the_clot() -> None:
    assert artery_hu(STUDY, TRUTH) == pytest.approx(350, abs=5)
    bright = mediastinal_hu(STUDY, find_lungs(STUDY))
    assert bright == pytest.approx(350, abs=60)


def test_contrast_is_not_misread_where_a_bright_vena_cava_is_taken_for_artery() -> None:
    assert TRUTH.arteries is not None
    artery = np.argwhere(TRUTH.arteries.full(STUDY.grid.shape) >= 128)
    hu = np.array(STUDY.hu)
    hu[tuple(artery[: len(artery) // 3].T)] = 1500
    assert artery_hu(Study(hu, STUDY.grid), TRUTH) == pytest.approx(350, abs=15)


def test_thick_slices_warn_and_thicker_ones_abstain() -> None:
    for spacing, abstains, warned in ((3.0, False, False), (4.0, False, True), (6.0, True, True)):
        study, truth = chest(spacing=(spacing, 3.0, 3.0))
        result = Fusion(parameters())(study, seen(truth))
        assert (decided(result).decision == "abstain") == abstains
        assert ("W_THICK" in codes(result)) == warned


def test_few_slices_abstain_and_still_report_lungs() -> None:
    study, truth = chest(spacing=(5.0, 3.0, 3.0), height_mm=90.0)
    result = Fusion(parameters())(study, seen(truth))
    assert decided(result).decision == "abstain"
    assert "W_FEW_SLICES" in codes(result)
    assert result.lungs is not None


def test_lungs_that_the_study_cuts_warn_and_half_lungs_abstain() -> None:
    for height, expected in ((240.0, None), (140.0, "warn"), (70.0, "abstain")):
        study, truth = chest(height_mm=height)
        result = Fusion(parameters())(study, seen(truth))
        assert ("W_COVERAGE" in codes(result)) == (expected is not None), height
        assert (decided(result).decision == "abstain") == (expected == "abstain"), height


def test_noise_is_measured_in_soft_tissue() -> None:
    for sigma in (10.0, 40.0, 80.0):
        study, truth = chest(noise_hu=sigma)
        assert noise(study) == pytest.approx(sigma, rel=0.2)
        assert ("W_NOISE" in codes(Fusion(parameters())(study, seen(truth)))) == (sigma > 60)


def test_every_abstention_names_its_figures() -> None:
    study, truth = chest(spacing=(6.0, 3.0, 3.0), contrast_hu=50.0)
    reason = decided(Fusion(parameters())(study, seen(truth))).reason
    assert "W_THICK: slices lie 6.0 mm apart (at most 5 mm needed)" in reason
    assert "W_NO_CONTRAST" in reason
    assert "120 HU" in reason


def test_the_longest_run_is_counted() -> None:
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0], bool)) == 3
    assert longest_run(np.zeros(0, bool)) == 0


def test_judging_does_not_need_any_stage() -> None:
    verdict = judge(STUDY, Findings(STUDY.grid))
    assert verdict.quality.chest
    assert verdict.quality.contrast_source == "mediastinum"
