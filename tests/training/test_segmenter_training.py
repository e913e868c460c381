from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cascade.errors import UsageError
from cascade.findings import Exam, Field
from cascade.registry import build
from cascade.training.augment import AugmentConfig, Geometry, intensity
from cascade.training.average import moving_average
from cascade.training.case import Case, thin
from cascade.training.crops import CropConfig, Crops, Judge
from cascade.training.loop import fit, seeded
from cascade.training.losses import SEGMENTATION, LossConfig, bce, loss_of, soft_dice
from cascade.training.plan import Plan
from cascade.training.run import Run
from cascade.training.schedules import schedule
from cascade.training.split import refuse_shared
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
    back = Case.read(tmp_path / "one.case")
    assert back.truth == case.truth
    assert np.array_equal(back.study.hu, case.study.hu)
    assert (back.name, back.patient, back.kind) == (case.name, case.patient, case.kind)


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
    judge = Judge(cases, stage, every=1)
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
    assert float(mean.weight.max()) < 0.01
