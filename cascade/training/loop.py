"""The training loop, told in the order of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.training.losses import Loss
from cascade.training.run import Run

Evaluate = Callable[[nn.Module], dict[str, float]]
Weights = tuple[torch.Tensor, ...] | list[torch.Tensor]
Average = Callable[[Weights, Weights, torch.Tensor | int], None]


class Sampler(Protocol):
    """Draws samples to learn from."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A view and its target, augmented."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    Attributes:
        steps: Batches.
        batch: Samples a batch.
        learning_rate: Highest rate, reached after the warm-up; then a cosine down to a hundredth of it.
        warm_up: Share of the steps in which the rate rises.
        weight_decay: AdamW's.
        clip: Largest L2 norm of the gradients.
        ema: Decay of the moving average of the weights, which is what is kept.
        evaluate_every: Steps between evaluations.
        minutes: Stop the clock here: the schedule is stretched or shrunk to fit; 0 for no limit.
        seed: Of everything random.
    """

    steps: int = 4000
    batch: int = 8
    learning_rate: float = 2e-3
    warm_up: float = 0.05
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.998
    evaluate_every: int = 500
    minutes: float = 0.0
    seed: int = 0


def fit(
    network: nn.Module, sampler: Sampler, criterion: Loss, plan: Plan, run: Run, evaluate: Evaluate | None = None
) -> nn.Module:
    """Train a network and return the moving average of its weights, in evaluation mode.

    Args:
        network: Takes float32 `[n, channel, y, x]`, returns logits.
        sampler: Where samples come from.
        criterion: Logits and targets to a scalar; must leave NaN targets out.
        plan: How long and how hard.
        run: The folder that keeps what happened.
        evaluate: Figures of a network in evaluation mode; "score" (higher is better) chooses the best.

    Returns:
        The averaged network: the best evaluated one, or the last where nothing was evaluated.
    """
    seeded(plan)
    rng = np.random.default_rng(plan.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=moving_average(plan.ema), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    start, best, kept = time.monotonic(), -math.inf, False
    for step in range(plan.steps):
        spent = (time.monotonic() - start) / (60 * plan.minutes) if plan.minutes else 0.0
        done = max(step / plan.steps, min(spent, 1.0))
        rate = schedule(done, plan)
        for group in optimizer.param_groups:
            group["lr"] = rate

        waited = time.monotonic()
        views, targets = zip(*(sampler.draw(rng) for _ in range(plan.batch)), strict=True)
        x = torch.from_numpy(np.stack(views)).to(device, memory_format=torch.channels_last)
        y = torch.from_numpy(np.stack(targets)).to(device)
        waited = time.monotonic() - waited

        network.train()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(x)
        loss = criterion(logits.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
        if bool(torch.isfinite(norm)):
            optimizer.step()
            average.update_parameters(network)
        run.step(step, loss=loss.item(), learning_rate=rate, gradient_norm=float(norm), data_seconds=waited)

        last = step + 1 == plan.steps or done >= 1.0
        if last or (step + 1) % plan.evaluate_every == 0:
            averaged = average.module.eval()
            figures = evaluate(averaged) if evaluate else {}
            run.keep(averaged, "last", {"step": step + 1, **figures})
            if figures.get("score", 0.0) > best or not figures:
                best = figures.get("score", best)
                kept = True
                run.keep(averaged, "best", {"step": step + 1, **figures})
            run.epoch(step + 1, figures)
        if last:
            break
    if kept:
        run.restore(average.module, "best")
    module: nn.Module = average.module.eval().to("cpu")
    return module


def schedule(done: float, plan: Plan) -> float:
    """The learning rate after a share `done` (0..1) of the training: linear warm-up, then a cosine."""
    if done < plan.warm_up:
        return plan.learning_rate * max(done / plan.warm_up, 0.02)
    share = (done - plan.warm_up) / (1 - plan.warm_up)
    return plan.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def moving_average(decay: float) -> Average:
    """An update of averaged weights that forgets faster while few were seen, so that the start does not stay in.

    After `n` steps the decay is `(1 + n) / (10 + n)`, and `decay` at most.
    """

    @torch.no_grad()
    def update(averaged: Weights, current: Weights, seen: torch.Tensor | int) -> None:
        n = float(seen)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), share)
            else:
                mean.copy_(value)

    return update


def seeded(plan: Plan) -> None:
    """Begin torch's random numbers at the seed: before a network is built, so that its start weights are the seed's."""
    torch.manual_seed(plan.seed)


def start_from(network: nn.Module, path: Path) -> dict[str, Any]:
    """Load start weights from a safetensors file, in place. Returns its metadata."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
