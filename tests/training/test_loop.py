from __future__ import annotations

import csv
import multiprocessing
import time
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from cascade.errors import CascadeError, UsageError
from cascade.training.feed import feed
from cascade.training.loop import Plan, fit, seeded
from cascade.training.losses import bce
from cascade.training.monitors import Verdict
from cascade.training.run import Run

PLAN = Plan(steps=12, batch=3, learning_rate=1e-2, ema=0.5, evaluate_every=6, workers=0)


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
    alone, together = (trained(tmp_path / str(n), replace(PLAN, workers=n)) for n in (0, 2))
    assert all(torch.equal(alone[name], together[name]) for name in alone)


@pytest.mark.parametrize(
    "wrong", [{"steps": -5}, {"batch": 0}, {"learning_rate": 0.0}, {"minutes": -1.0}, {"seed": -1}]
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_is_made(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"plan.{next(iter(wrong))} is"):
        replace(PLAN, **wrong)  # type: ignore[arg-type]  # wrong on purpose, though of the right type


def test_samples_come_in_order_from_any_first_one() -> None:
    def draw(i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.full((1, 2, 2), i, np.float32), np.zeros(1, np.float32)

    for workers in (0, 2):
        batches = feed(draw, range(4, 13), 4, workers, torch.device("cpu"))
        assert [x[:, 0, 0, 0].tolist() for x, _ in batches] == [[4, 5, 6, 7], [8, 9, 10, 11], [12]]


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


def brightness(one: nn.Module) -> Verdict:
    """A figure that depends on all weights, and falls and rises."""
    with torch.inference_mode():
        return Verdict({"score": float(one(torch.ones(1, 1, 16, 16)).sum())})


def told(folder: Path) -> list[dict[str, str]]:
    """What a run wrote down, but for what depends on the machine."""
    both = rows(folder) + rows(folder, "results.csv")
    here = ("data_seconds", "seconds", "minutes", "data_share", "memory_mb")
    return [{k: v for k, v in row.items() if k not in here} for row in both]


def killed_at_random_ends_in_the_same(folder: Path, kills: int, seed: int) -> None:
    plan = replace(PLAN, steps=400, evaluate_every=100, look_every=7, save_minutes=0.0, seed=seed)
    process = in_a_process(folder / "whole", plan, resume=False)
    began = time.monotonic()
    process.join()
    usual = time.monotonic() - began
    rng = np.random.default_rng(seed)
    process, ended = in_a_process(folder / "killed", plan, resume=False), 0
    while not (folder / "killed" / "checkpoints" / "state.safetensors").exists():
        time.sleep(0.001)
    for _ in range(kills):
        process.join(rng.uniform(0, 1.2 * usual / kills))
        ended += not process.is_alive()
        process.kill()
        process.join()
        process = in_a_process(folder / "killed", plan, resume=True)
    process.join()
    assert process.exitcode == 0
    assert ended < kills
    # The state holds the weights, their average, the optimizer's memory, and where the random numbers are.
    for file in ("state.safetensors", "best/weights.safetensors", "last/weights.safetensors"):
        whole, killed = (load_file(folder / name / "checkpoints" / file) for name in ("whole", "killed"))
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert told(folder / "whole") == told(folder / "killed")


def test_a_training_that_is_killed_and_resumed_ends_in_the_same_weights(tmp_path: Path) -> None:
    killed_at_random_ends_in_the_same(tmp_path, kills=3, seed=0)


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
