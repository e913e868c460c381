from __future__ import annotations

import csv
import json
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from cascade.core.errors import CascadeError, UsageError
from cascade.training.feed import feed
from cascade.training.learner import l1
from cascade.training.loop import fit
from cascade.training.losses import bce, of_all
from cascade.training.monitors import Evaluation
from cascade.training.plan import Plan
from cascade.training.run import Run
from cascade.training.schedules import schedule
from cascade.training.start import seeded

PLAN = Plan(steps=12, batch=3, learning_rate=1e-2, ema=0.5, evaluate_every=6, workers=0)


AT_ONCE = 1e-9
"""Minutes that are over before the first step is done."""


class Squares:
    """Bright squares, to be marked."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        picture = rng.normal(0, 0.1, (1, 16, 16)).astype(np.float32)
        y, x = rng.integers(0, 12, 2)
        picture[0, y : y + 4, x : x + 4] += 1
        return picture, (picture > 0.5).astype(np.float32)


class Spoilt(Squares):
    """Some pictures, by the order in which they are drawn, hold a value that is not finite."""

    def __init__(self, which: range) -> None:
        self.which, self.drawn = which, 0

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        picture, target = super().draw(rng)
        if self.drawn in self.which:
            picture[0, 0, 0] = np.inf
        self.drawn += 1
        return picture, target


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(4, 1, 3, padding=1)
    )


def trained(folder: Path, plan: Plan, sampler: Squares | None = None) -> dict[str, torch.Tensor]:
    seeded(plan)
    run = Run(folder, {"plan": plan})
    return dict(fit(network(), sampler or Squares(), bce, plan, run).state_dict())


def rows(folder: Path, name: str = "steps.csv") -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    # Workers are forked, as in a training: not from a process in which other tests left the threads of other libraries.
    for n in (0, 2):
        process = in_a_process(tmp_path / str(n), replace(PLAN, workers=n), resume=False)
        process.join()
        assert process.exitcode == 0
    alone, together = (load_file(tmp_path / str(n) / "checkpoints" / "last" / "weights.safetensors") for n in (0, 2))
    assert all(torch.equal(alone[name], together[name]) for name in alone)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -5},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"minutes": -1.0},
        {"seed": -1},
    ],
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_is_made(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"plan.{next(iter(wrong))} is"):
        replace(PLAN, **wrong)  # type: ignore[arg-type]  # wrong on purpose, though of the right type


def numbered(i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.full((1, 2, 2), i, np.float32), np.zeros(1, np.float32)


def fed(workers: int) -> list[list[float]]:
    batches = feed(numbered, range(4, 13), 4, workers, torch.device("cpu"))
    return [x[:, 0, 0, 0].tolist() for x, _ in batches]


def test_samples_come_in_order_from_any_first_one() -> None:
    assert fed(0) == [[4, 5, 6, 7], [8, 9, 10, 11], [12]]
    # Workers are forked: not from a process in which other tests left the threads of other libraries.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(fed, 2).result() == fed(0)


def fed_beside_openvino() -> tuple[list[list[float]], str]:
    """What two workers give in a process in which OpenVINO has run a model, and the warning about it."""
    import openvino as ov

    x = ov.opset13.parameter([1, 4], np.float32)
    ov.compile_model(ov.Model([ov.opset13.relu(x)], [x]), "CPU")(np.ones((1, 4), np.float32))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return fed(2), str(told[0].message)


def test_training_after_openvino_has_run_in_the_process_does_not_crash() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        batches, warning = pool.submit(fed_beside_openvino).result()
    assert batches == fed(0)
    assert "without worker processes" in warning


def test_every_step_is_written_down(tmp_path: Path) -> None:
    trained(tmp_path / "run", replace(PLAN, steps=70, evaluate_every=40))
    assert [int(row["step"]) for row in rows(tmp_path / "run")] == list(range(70))
    assert [int(row["step"]) for row in rows(tmp_path / "run", "results.csv")] == [40, 70]


def test_values_that_are_not_finite_are_gone_back_on_with_half_the_rate(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=150, evaluate_every=150)
    weights = trained(tmp_path / "run", plan, Spoilt(range(200, 201)))
    trained(tmp_path / "other", plan)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    finite = [np.isfinite(float(row["loss"])) for row in rows(tmp_path / "run")]
    assert finite == [True] * 66 + [False] * 34 + [True] * 50
    rates = [[float(row["learning_rate"]) for row in rows(tmp_path / name)] for name in ("run", "other")]
    assert np.divide(*rates).tolist() == [1.0] * 100 + [0.5] * 50


def test_data_that_are_never_finite_end_the_training_with_a_word(tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="E_DIVERGED"):
        trained(tmp_path / "run", replace(PLAN, steps=2000, evaluate_every=2000, look_every=1), Spoilt(range(10_000)))


def test_a_training_in_which_no_step_was_finite_is_a_failure_and_stays_one_when_it_is_resumed(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=12, look_every=4)
    for resume in (False, True):
        with pytest.raises(CascadeError, match=r"E_NOT_FINITE.*nothing was learned"):
            fit(network(), Spoilt(range(10_000)), bce, plan, Run(tmp_path / "run", {}, resume))
    trained(tmp_path / "late", plan, Spoilt(range(24)))  # its last look was finite


class Pair(nn.Module):
    """Two networks, as one with deep supervision answers: the main logits first."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.other = network(), network()

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return [self.main(x), self.other(x)] if self.training else self.main(x)


def test_a_network_that_answers_twice_in_training_learns_from_the_mean_of_both(tmp_path: Path) -> None:
    seeded(PLAN)
    pair, target = Pair(), torch.zeros(3, 1, 16, 16)
    answers = pair(torch.zeros(3, 1, 16, 16))
    losses = [float(bce(one.detach(), target)) for one in answers]
    assert of_all(bce, answers, target).item() == pytest.approx(sum(losses) / 2)
    seeded(PLAN)
    began = {name: tensor.clone() for name, tensor in Pair().state_dict().items()}
    seeded(PLAN)
    trained = fit(Pair(), Squares(), bce, PLAN, Run(tmp_path / "run", {})).state_dict()
    assert not any(torch.equal(trained[name], began[name]) for name in began if name.endswith("weight"))


def test_the_rate_of_one_cycle_rises_for_a_third_and_falls_to_nothing() -> None:
    rates = [schedule(done, Plan(schedule="onecycle", learning_rate=1.0)) for done in (0.0, 0.15, 0.3, 0.65, 1.0)]
    assert rates == pytest.approx([0.04, 0.52, 1.0, 0.5, 4e-6], abs=1e-3)
    torchs = torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([torch.zeros(1)], momentum=0.9), 1.0, total_steps=101)
    theirs = []
    for _ in range(101):
        theirs += torchs.get_last_lr()
        torchs.optimizer.step()
        torchs.step() if len(theirs) < 101 else None
    ours = [schedule(step / 100, Plan(schedule="onecycle", learning_rate=1.0)) for step in range(101)]
    assert ours == pytest.approx(theirs, abs=0.025)  # torch ends its rise a step earlier


def test_l1_draws_weights_to_nothing_and_leaves_biases_and_norms_alone() -> None:
    net = network()
    penalty = l1(net, Plan(l1_lambda=0.1))
    assert isinstance(penalty, torch.Tensor)
    penalty.backward()
    moved = {name for name, p in net.named_parameters() if p.grad is not None}
    assert moved == {"0.weight", "4.weight"}
    drawn = sum(float(net.get_parameter(name).detach().abs().sum()) for name in moved)
    assert float(penalty.detach()) == pytest.approx(0.1 * drawn)


def test_full_precision_is_full(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []
    for name in ("bf16", "fp32"):
        net = network()
        net[0].register_forward_hook(lambda _, __, out: seen.append(out.dtype))  # type: ignore[index]
        fit(net, Squares(), bce, replace(PLAN, steps=1, precision=name), Run(tmp_path / name, {}))  # type: ignore[arg-type]
    assert seen == [torch.bfloat16, torch.float32]


def test_frozen_norms_keep_the_statistics_that_they_begin_with(tmp_path: Path) -> None:
    weights = trained(tmp_path / "run", replace(PLAN, freeze_norm=True))
    assert weights["1.running_mean"].tolist() == [0.0] * 4
    assert weights["1.weight"].tolist() != [1.0] * 4


def test_training_ends_when_nothing_better_comes_for_so_many_evaluations(tmp_path: Path) -> None:
    scores = iter([0.1, 0.3, 0.2, 0.25, 0.9])
    plan = replace(PLAN, steps=100, evaluate_every=5, patience=2)
    fit(network(), Squares(), bce, plan, Run(tmp_path / "run", {}), lambda _: Evaluation({"score": next(scores)}))
    assert [row["score"] for row in rows(tmp_path / "run", "results.csv")] == ["0.1", "0.3", "0.2", "0.25"]


def test_the_best_by_score_by_loss_and_by_f1_are_kept_apart(tmp_path: Path) -> None:
    told = iter([(0.9, 0.5, 0.1), (0.1, 0.2, 0.2), (0.2, 0.4, 0.8), (0.3, 0.9, 0.3)])
    plan = replace(PLAN, steps=20, evaluate_every=5)
    run = Run(tmp_path / "run", {})
    fit(
        network(),
        Squares(),
        bce,
        plan,
        run,
        lambda _: Evaluation(dict(zip(("score", "loss", "f1"), next(told), strict=True))),
    )
    figures = {name: run.figures(name) for name in ("best", "best_loss", "best_f1", "last")}
    assert [figures["best"]["score"], figures["best_loss"]["loss"], figures["best_f1"]["f1"]] == [0.9, 0.2, 0.8]
    assert figures["last"]["score"] == 0.3


def test_a_sound_set_up_learns_a_little_sample_by_heart(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", {})
    plan = replace(PLAN, steps=250, evaluate_every=125, learning_rate=3e-2, little_sample=4)
    fit(network(), Squares(), bce, plan, run)
    figures = run.figures("best")
    assert figures["loss"] < 0.5 * figures["constant_loss"]


class Blind(Squares):
    """The answer is not in the picture."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.zeros((1, 16, 16), np.float32), super().draw(rng)[1]


class Empty(Squares):
    """There is nothing to be marked."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        picture, target = super().draw(rng)
        return picture, 0 * target


@pytest.mark.parametrize(("sampler", "sentence"), [(Blind(), "did not learn 4 samples"), (Empty(), "one answer fits")])
def test_a_set_up_that_cannot_learn_says_so(tmp_path: Path, sampler: Squares, sentence: str) -> None:
    with pytest.raises(CascadeError, match=f"E_LITTLE_SAMPLE.*{sentence}"):
        trained(tmp_path / "run", replace(PLAN, steps=20, little_sample=4), sampler)


def work(folder: Path, plan: Plan, resume: bool, begun: Event) -> None:
    """Begin or resume a training."""
    torch.set_num_threads(1)
    begun.set()
    seeded(plan)
    run = Run(folder, {"plan": plan}, resume)
    fit(network(), Squares(), bce, plan, run, brightness)


def in_a_process(folder: Path, plan: Plan, resume: bool) -> multiprocessing.process.BaseProcess:
    """The same in a process of its own, which can be killed; returns when its libraries are loaded.

    A fresh one: a fork of a process in which other tests left threads may crash.
    """
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=work, args=(folder, plan, resume, begun))
    process.start()
    assert begun.wait(120)
    return process


def brightness(one: nn.Module) -> Evaluation:
    """A figure that depends on all weights, and falls and rises."""
    with torch.inference_mode():
        return Evaluation({"score": float(one(torch.ones(1, 1, 16, 16)).sum())})


def told(folder: Path) -> list[dict[str, str]]:
    """What a run wrote down, but for what depends on the machine."""
    both = rows(folder) + rows(folder, "results.csv")
    here = ("data_seconds", "seconds", "minutes", "data_share", "rss_mb")
    return [{k: v for k, v in row.items() if k not in here} for row in both]


def stored_step(folder: Path) -> int:
    """How far a run has come by its own word; -1 before its first."""
    path = folder / "checkpoints" / "state.safetensors"
    if not path.exists():
        return -1
    with safe_open(path, framework="pt") as file:
        return int(json.loads(file.metadata()["progress"])["step"])


def killed_at_random_ends_in_the_same(folder: Path, kills: int, seed: int) -> None:
    asked = {"schedule": "onecycle", "patience": 9, "l1_lambda": 1e-5} if seed % 2 else {}
    plan = replace(PLAN, steps=400, evaluate_every=100, look_every=7, save_minutes=0.0, seed=seed, **asked)  # type: ignore[arg-type]
    process = in_a_process(folder / "whole", plan, resume=False)
    process.join()
    rng = np.random.default_rng(seed)
    process = in_a_process(folder / "killed", plan, resume=False)
    # At random steps, not times: a machine that is busy elsewhere must not let the training end before it is killed.
    hit = 0
    for step in np.sort(rng.integers(1, plan.steps // 2, kills)):
        while process.is_alive() and stored_step(folder / "killed") < step:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        hit += process.is_alive()
        process.kill()
        process.join()
        process = in_a_process(folder / "killed", plan, resume=True)
    process.join()
    assert process.exitcode == 0
    assert hit
    # The state holds the weights, their average, the optimizer's memory, and where the random numbers are.
    for file in ("state.safetensors", "best/weights.safetensors", "last/weights.safetensors"):
        whole, killed = (load_file(folder / name / "checkpoints" / file) for name in ("whole", "killed"))
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert told(folder / "whole") == told(folder / "killed")


def test_a_training_that_is_killed_and_resumed_ends_in_the_same_weights(tmp_path: Path) -> None:
    killed_at_random_ends_in_the_same(tmp_path, kills=1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_training_that_is_killed_often_ends_in_the_same_weights(tmp_path: Path, seed: int) -> None:
    killed_at_random_ends_in_the_same(tmp_path, kills=10, seed=seed)


def test_what_has_not_been_begun_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="E_RESUME"):
        Run(tmp_path, {}, resume=True)


def test_a_row_that_was_half_written_is_written_again(tmp_path: Path) -> None:
    plan = replace(PLAN, evaluate_every=6)
    trained(tmp_path / "run", plan)
    before = told(tmp_path / "run")
    with (tmp_path / "run" / "steps.csv").open("a") as file:
        file.write("1")
    run = Run(tmp_path / "run", {}, resume=True)
    fit(network(), Squares(), bce, plan, run)
    assert told(tmp_path / "run") == before


def test_the_clock_of_a_training_that_goes_on_begins_anew_at_each_start(tmp_path: Path) -> None:
    plan = replace(PLAN, schedule="constant", precision="fp32", look_every=1)
    whole = trained(tmp_path / "whole", replace(plan, steps=3, warm_up=0.0))
    by_clock = replace(plan, minutes=AT_ONCE, warm_up=0.0)
    seeded(plan)
    parts = fit(network(), Squares(), bce, by_clock, Run(tmp_path / "parts", {"plan": by_clock}))
    for done in (2, 3):
        run = Run(tmp_path / "parts", {}, resume=True)
        parts = fit(network(), Squares(), bce, by_clock, run)
        assert len(rows(tmp_path / "parts")) == done
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.items())


def test_the_clock_of_a_training_with_an_end_counts_all_starts_together(tmp_path: Path) -> None:
    plan = replace(PLAN, minutes=AT_ONCE)
    trained(tmp_path / "run", plan)
    assert len(rows(tmp_path / "run")) == 1
    assert plan.done(0, 1.0) == 1.0
    assert plan.is_over(1.0, 0.0)
    assert not replace(plan, schedule="constant").is_over(1.0, 0.0)
    assert replace(plan, schedule="constant").done(3, 1.0) == 3 / 12, "rates follow the steps alone"
    assert not replace(plan, minutes=0.0).is_over(1e9, 1e9)
