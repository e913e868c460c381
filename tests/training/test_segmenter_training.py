from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Exam, Field, Findings
from cascade.core.grid import Grid
from cascade.core.registry import build
from cascade.core.study import Note, Study
from cascade.datasets.case import FORMAT, Case, thin
from cascade.training.augment import AugmentConfig, Geometry, intensity
from cascade.training.average import moving_average
from cascade.training.crops import CropConfig, CropEvaluator, Crops
from cascade.training.loop import fit
from cascade.training.losses import SEGMENTATION, LossConfig, bce, loss_of, soft_dice
from cascade.training.plan import Plan
from cascade.training.run import Run
from cascade.training.schedules import schedule
from cascade.training.segmenter import SegmenterTraining, outlined, prepared, train_segmenter
from cascade.training.split import refuse_shared
from cascade.training.start import seeded, start_from
from segmenters import NETWORKS
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble
from tests.segmenters.test_embolus_stage import study_with_ball

STAGE = EmbolusConfig(tile=(64, 80))


def a_case(name: str = "one") -> Case:
    study, truth = study_with_ball()
    return Case(name, name, "simulated", study, replace(truth, exam=Exam("positive")))


def small(case: Case) -> Case:
    return thin(case, EmbolusEnsemble(config=replace(STAGE, slices=1)), STAGE.pixel_mm, STAGE.stride_mm)


def test_a_case_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    case = a_case()
    case.save(tmp_path / "one.case")
    back = Case.load(tmp_path / "one.case")
    assert back.truth == case.truth
    assert np.array_equal(back.study.hu, case.study.hu)
    assert (back.name, back.patient, back.kind) == (case.name, case.patient, case.kind)


@pytest.mark.parametrize("pixel_mm", [0.8, STAGE.pixel_mm, 2.0])
def test_a_study_of_any_pixels_is_learned_at_the_stages_own_as_it_is_run(tmp_path: Path, pixel_mm: float) -> None:
    made = Study(np.zeros((6, 40, 40), np.int16), Grid.simple((6, 40, 40), (2.0, pixel_mm, pixel_mm)))
    Case("one", "one", "real", made, Findings(made.grid)).save(tmp_path / "one.case")
    (case,) = prepared([tmp_path], STAGE)
    assert case.study.grid.spacing[1:] == pytest.approx((STAGE.pixel_mm, STAGE.pixel_mm))


def test_a_stored_case_keeps_its_readers_labels_and_what_the_reader_remarked(tmp_path: Path) -> None:
    case = a_case()
    exam = Exam("positive", reason="RSNA's readers", labels={"leftsided_pe": 1.0})
    study = replace(case.study, facts={"kernel": "B30f"}, warnings=(Note("W_THICK", "slices are thick"),))
    replace(case, study=study, truth=replace(case.truth, exam=exam)).save(tmp_path / "one.case")
    back = Case.load(tmp_path / "one.case")
    assert back.truth.exam == exam
    assert (back.study.facts, back.study.warnings) == (study.facts, study.warnings)


def test_a_case_stored_before_exams_were_kept_whole_still_opens(tmp_path: Path) -> None:
    case = a_case()
    case.save(tmp_path / "new.case")
    with safe_open(tmp_path / "new.case", framework="numpy") as file:
        head = json.loads(file.metadata()["case"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    old = {name: head[name] for name in ("name", "patient", "kind", "boxes")} | {"decision": "positive"}
    save_file(tensors, tmp_path / "old.case", metadata={"format": FORMAT, "case": json.dumps(old)})
    assert Case.load(tmp_path / "old.case").truth == case.truth


def test_cases_that_say_nothing_of_their_voxels_are_left_out_with_their_count_and_refused_where_all_do() -> None:
    told: list[str] = []
    silent = replace(a_case("silent"), truth=Findings(a_case().study.grid, exam=Exam("positive")))
    known = a_case()
    assert outlined([silent, known], "data", told.append) == [known]
    assert told == ["1 of 2 cases of data are left out: they do not say which voxels are embolus"]
    with pytest.raises(InputError, match=r"E_NO_MASK.*none of the 1 cases of data"):
        outlined([silent], "data", told.append)


def test_the_judge_does_not_call_a_case_negative_whose_embolus_is_unknown() -> None:
    case = small(a_case())
    unknown = replace(case, truth=replace(case.truth, embolus=None))
    always = lambda x: torch.full((len(x), 2, *x.shape[2:]), 9.0)  # noqa: E731
    network = nn.Module()
    network.forward = always  # type: ignore[method-assign]
    network.register_buffer("place", torch.zeros(1))
    assert CropEvaluator([unknown], EmbolusEnsemble(config=STAGE))(network).figures["false_ml"] == 0.0


def test_a_network_that_does_not_fit_its_stage_is_refused_before_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()  # no data set: what is refused before it is looked at
    for settings, sentence in (
        (SegmenterTraining(net="artery_aware_3d"), r"E_SLICES.*looks at 15 slices, the sample has 7"),
        (
            SegmenterTraining(net="tiny_unet", arguments={"outputs": 1}),
            r"answers 1 questions where the stage asks 2; set arguments.outputs=2",
        ),
    ):
        with pytest.raises(UsageError, match=sentence):
            train_segmenter([tmp_path / "data"], [], tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_stage_that_the_bundles_other_networks_do_not_take_is_refused_before_data_are_read(tmp_path: Path) -> None:
    other = Network.of("tiny_unet", {"width": 2}, build(NETWORKS, "tiny_unet", {"width": 2}))
    base = Bundle(name="base").with_stage(StageEntry("embolus", EmbolusConfig(), (other,)))
    (tmp_path / "data").mkdir()
    narrow = SegmenterTraining(
        net="tiny_attention_resunet", stage=EmbolusConfig(slices=5), arguments={"slices": 5, "width": 2}
    )
    with pytest.raises(UsageError, match=r"E_SLICES.*looks at 7 slices, the sample has 5"):
        train_segmenter([tmp_path / "data"], [], tmp_path / "run", narrow, base=base)


def test_start_weights_of_another_network_or_none_at_all_are_refused_in_a_sentence(tmp_path: Path) -> None:
    network = nn.Linear(2, 1)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(UsageError, match=r"E_START.*holds no weights"):
        start_from(network, tmp_path / "text")
    save_file({"weight": np.zeros((1, 3), np.float32)}, tmp_path / "other")
    with pytest.raises(UsageError, match=r"E_START.*another network: 2 tensors differ, 'bias' first"):
        start_from(network, tmp_path / "other")


@pytest.mark.parametrize(
    "wrong",
    [{"window": "bone"}, {"pixel_mm": 0.0}, {"stride_mm": -2.0}, {"slices": 0}, {"tile": (30, 30)}, {"tile": (16, 32)}],
)
def test_a_stage_that_can_cut_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))} must|overlap must"):
        EmbolusConfig(**wrong)


@pytest.mark.parametrize("wrong", [{"chance": 7.0}, {"blur": -1.0}, {"scale": (1.2, 0.8)}, {"contrast": (0.0, 1.0)}])
def test_changes_that_no_sample_can_be_given_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"E_AUGMENT.*augment.{next(iter(wrong))} is"):
        AugmentConfig(**wrong)


def test_a_thinned_case_keeps_the_embolus_in_its_place() -> None:
    case = a_case()
    thinned = small(case)
    where = [
        c.study.grid.to_mm(np.argwhere(c.truth.mask()) - [f.box.z0 * 0, 0, 0]).mean(axis=0)
        for c in (case, thinned)
        if isinstance(f := c.truth.embolus, Field)
    ]
    assert np.abs(where[0] - where[1]).max() < 0.5
    volumes = [c.truth.mask().sum() * c.study.grid.voxel_mm3 for c in (case, thinned)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)


def test_what_is_unknown_is_not_learned_from() -> None:
    logits = torch.zeros(2, 2, 4, 4, requires_grad=True)
    target = torch.ones(2, 2, 4, 4)
    target[:, 1] = torch.nan
    loss_of(SEGMENTATION)(logits, target).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1] == 0).all()
    assert (logits.grad[:, 0] != 0).all()
    assert bce(logits, torch.full_like(target, torch.nan)).item() == 0


def test_dice_of_an_empty_target_is_defined_and_falls_with_the_false_volume() -> None:
    empty = torch.zeros(1, 8, 8)
    losses = [float(soft_dice(torch.full((1, 8, 8), logit), empty, LossConfig())) for logit in (5.0, 0.0, -5.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.01


def test_a_sample_and_its_target_are_moved_alike() -> None:
    rng = np.random.default_rng(3)
    image = np.full((1, 64, 64), -100, np.float32)
    image[0, 20:30, 40:52] = 300
    target = (image > 100).astype(np.float32)
    for _ in range(10):
        hu, moved = Geometry(AugmentConfig())(image, target, rng)
        assert np.corrcoef(hu.ravel() > 100, moved.ravel() > 0.5)[0, 1] > 0.95


def test_more_contrast_leaves_a_clot_as_dark_as_it_is() -> None:
    hu = np.array([[[40.0, 300.0]]], np.float32)
    changed = [
        intensity(hu, np.random.default_rng(i), AugmentConfig(shift_hu=0, noise_hu=0, blur=0.31, sharpen=0))
        for i in range(20)
    ]
    vessels = [c[0, 0, 1] for c in changed]
    assert max(vessels) - min(vessels) > 100


def test_the_rate_rises_and_then_falls() -> None:
    rates = [schedule(share, Plan()) for share in (0.0, 0.05, 0.5, 1.0)]
    assert rates[0] < rates[1] > rates[2] > rates[3] > 0


def test_a_network_learns_two_cases_and_its_run_tells_so(tmp_path: Path) -> None:
    cases = [small(a_case()), small(replace(a_case("two"), patient="two"))]
    stage = EmbolusEnsemble(config=STAGE)
    judge = CropEvaluator(cases, stage, every=1)
    run = Run(tmp_path / "run", {"plan": Plan()})
    plan = Plan(steps=160, batch=4, learning_rate=1e-2, ema=0.8, evaluate_every=80)
    crops = Crops(
        cases, stage, CropConfig(size=(48, 48)), AugmentConfig(chance=0.0, rotate_degrees=0, scale=(1.0, 1.0))
    )
    seeded(plan)
    network = build(NETWORKS, "tiny_attention_resunet", {"width": 4, "levels": 2})
    trained = fit(network, crops, loss_of(SEGMENTATION), plan, run, judge)
    figures = judge(trained).figures
    assert figures["dice"] > 0.8
    assert figures["f1"] > 0.8
    for name in ("args.yaml", "steps.csv", "results.csv", "results.png", "checkpoints/best/weights.safetensors"):
        assert (tmp_path / "run" / name).is_file()


def test_a_network_replaces_the_one_of_its_name_or_stands_beside_it(tmp_path: Path) -> None:
    small(a_case()).save(tmp_path / "one.case")
    first = train_segmenter([tmp_path], [], tmp_path / "a", ONE_STEP)
    for add_member, count in ((False, 1), (True, 2)):
        settings = replace(ONE_STEP, plan=Plan(steps=1, batch=1, seed=1), add_member=add_member)
        made = train_segmenter([tmp_path], [], tmp_path / f"b{count}", settings, base=first)
        assert len(made.stages[0].networks) == count


ONE_STEP = SegmenterTraining(
    net="tiny_attention_resunet",
    arguments={"width": 4},
    stage=STAGE,
    plan=Plan(steps=1, batch=1, seed=0),
    crops=CropConfig(size=(32, 32)),
    fusion=False,
)


def test_a_network_of_the_bundle_is_never_shown_other_views_than_it_learned_from(tmp_path: Path) -> None:
    small(a_case()).save(tmp_path / "one.case")
    first = train_segmenter([tmp_path], [], tmp_path / "a", ONE_STEP)
    coarse = replace(ONE_STEP, net="tiny_unet", stage=replace(STAGE, pixel_mm=2 * STAGE.pixel_mm))
    with pytest.raises(UsageError, match=r"tiny_attention_resunet.*stage\.pixel_mm"):
        train_segmenter([tmp_path], [], tmp_path / "b", coarse, base=first)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("blur", [0.0, 0.05, 0.3, 2.0])
def test_a_blur_may_be_as_small_as_one_likes(blur: float) -> None:
    hu, rng = np.zeros((1, 16, 16), np.float32), np.random.default_rng(0)
    hu[0, 8, 8] = 100
    config = AugmentConfig(chance=1.0, contrast=(1.0, 1.0), shift_hu=0, noise_hu=0, blur=blur)
    for _ in range(5):
        changed = intensity(hu, rng, config)
        assert np.isfinite(changed).all()
        assert (changed.max() == hu.max()) == (blur < 0.1)


def test_settings_from_python_are_checked_like_those_of_a_command() -> None:
    with pytest.raises(UsageError, match=r"E_UNKNOWN_NETWORK.*did you mean 'tiny_unet'"):
        SegmenterTraining(net="tiny_umet")
    with pytest.raises(UsageError, match=r"E_UNKNOWN_LAYOUT.*did you mean 'fumpe'"):
        SegmenterTraining(dataset="fumpee")


def test_a_run_never_overwrites_another(tmp_path: Path) -> None:
    Run(tmp_path / "run", {})
    with pytest.raises(UsageError, match="E_RUN_EXISTS"):
        Run(tmp_path / "run", {})


def test_a_patient_on_both_sides_of_the_split_is_refused() -> None:
    with pytest.raises(UsageError, match="E_SPLIT"):
        refuse_shared({"p", "q"}, {"p"})


def test_the_average_forgets_the_weights_it_started_from() -> None:
    update, mean, now = moving_average(0.999), nn.Linear(3, 1), nn.Linear(3, 1)
    for one, value in ((mean, 1.0), (now, 0.0)):
        nn.init.constant_(one.weight, value)
    for step in range(1, 200):
        update(mean, now, step)
    assert float(mean.weight.detach().max()) < 0.01
