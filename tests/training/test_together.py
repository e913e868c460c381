"""Several processes that train one network, as torchrun starts them; on the CPU, where they speak by gloo."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from cascade.core.errors import UsageError
from cascade.training.loop import fit
from cascade.training.losses import LOSSES, LossConfig, loss_of
from cascade.training.plan import Plan
from cascade.training.run import Run
from cascade.training.start import seeded
from tests.training.test_loop import Squares, brightness, rows, told

PLAN = Plan(
    steps=12, batch=8, learning_rate=1e-2, ema=0.5, evaluate_every=6, workers=0, precision="fp32", freeze_norm=True
)
EACH = LossConfig(dict.fromkeys(LOSSES, 1.0), smooth=1.0)


class PartlyKnown(Squares):
    """Of some pictures one half is unknown, of some all: the processes do not know equally much."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        picture, target = super().draw(rng)
        target[:, : int(rng.choice([0, 8, 16]))] = np.nan
        return picture, target


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def train(folder: Path, plan: Plan, resume: bool = False) -> None:
    torch.set_num_threads(1)
    seeded(plan)
    fit(network(), PartlyKnown(), loss_of(EACH), plan, Run(folder, {"plan": plan}, resume), brightness)


def process_of(rank: int, port: int, folder: Path, plan: Plan, resume: bool) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    train(folder, plan, resume)


def two_processes(folder: Path, plan: Plan, resume: bool = False) -> list[multiprocessing.process.BaseProcess]:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=process_of, args=(rank, port, folder, plan, resume)) for rank in range(2)]
    for one in both:
        one.start()
    return both


def ended(both: list[multiprocessing.process.BaseProcess]) -> bool:
    for one in both:
        one.join(120)
    return all(one.exitcode == 0 for one in both)


def test_two_processes_learn_what_one_does_from_the_whole_batch(tmp_path: Path) -> None:
    assert ended(two_processes(tmp_path / "two", PLAN))
    train(tmp_path / "one", PLAN)
    for column in ("loss", "gradient_norm", "clipped_norm"):
        one, two = ([float(row[column]) for row in rows(tmp_path / name)] for name in ("one", "two"))
        assert len(one) == PLAN.steps
        assert two == pytest.approx(one, rel=1e-4)
    weights = [load_file(tmp_path / name / "checkpoints/last/weights.safetensors") for name in ("one", "two")]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])
    assert len(rows(tmp_path / "two", "results.csv")) == 2


@pytest.mark.slow
def test_two_processes_that_are_killed_and_resumed_end_in_the_same(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=600, evaluate_every=100, look_every=7, save_minutes=0.0)
    assert ended(two_processes(tmp_path / "whole", plan))
    both = two_processes(tmp_path / "killed", plan)
    rng = np.random.default_rng(0)
    for _ in range(2):
        while not (tmp_path / "killed" / "steps.csv").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.2, 1.0))
        for one in both:
            one.kill()
            one.join()
        both = two_processes(tmp_path / "killed", plan, resume=True)
    assert ended(both)
    for file in ("state.safetensors", "best/weights.safetensors", "last/weights.safetensors"):
        whole, killed = (load_file(tmp_path / name / "checkpoints" / file) for name in ("whole", "killed"))
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert told(tmp_path / "whole") == told(tmp_path / "killed")


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match=r"E_PLAN.*3 processes"):
        Plan(batch=8)
