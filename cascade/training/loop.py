"""The training loop, told in the order of time."""

from __future__ import annotations

import copy
import itertools
import math
import resource
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.errors import CascadeError, UsageError
from cascade.training.feed import Batch, feed, usual_workers
from cascade.training.losses import Loss
from cascade.training.monitors import Verdict
from cascade.training.run import Run
from cascade.training.state import Progress, load, put_back, store, taken

Evaluate = Callable[[nn.Module], Verdict]
Weights = list[torch.Tensor]
Average = Callable[[Weights, Weights, int], None]


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
        workers: Processes that draw samples; 0 for the training's own. The samples are the same for any number.
        look_every: Steps between looks at their figures: the only times that a step waits for the device.
        save_minutes: Time between stored states, from which a run that was stopped can be resumed; they are stored at
            looks, and at every evaluation.
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
    workers: int = field(default_factory=usual_workers)
    look_every: int = 50
    save_minutes: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no training can be run with, before a folder is made for it."""
        for name in ("steps", "batch", "evaluate_every", "look_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"plan.{name} is {getattr(self, name)}; it must be 1 or more", "E_PLAN")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise UsageError(f"plan.{name} is {getattr(self, name)}; it must be more than 0", "E_PLAN")
        for name in ("minutes", "workers", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"plan.{name} is {getattr(self, name)}; it must not be negative", "E_PLAN")


def fit(
    network: nn.Module, sampler: Sampler, criterion: Loss, plan: Plan, run: Run, evaluate: Evaluate | None = None
) -> nn.Module:
    """Train a network and return the moving average of its weights, in evaluation mode.

    Args:
        network: Takes float32 `[n, channel, y, x]`, returns logits.
        sampler: Where samples come from.
        criterion: Logits and targets to a scalar; must leave NaN targets out.
        plan: How long and how hard.
        run: The folder that keeps what happened; one that is resumed goes on where it was stored last, on the CPU to
            the same bits that it would have come to without the stop.
        evaluate: What a network in evaluation mode is worth; its "score" chooses the best.

    Returns:
        The averaged network: the best evaluated one, or the last where nothing was evaluated.
    """
    seeded(plan)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    torch.backends.cudnn.benchmark = True  # batches are of one size
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=device.type == "cuda"
    )
    update = moving_average(plan.ema)
    progress = Progress()
    if run.resumed:
        tensors, progress = load(run.state)
        put_back(tensors, network, average, optimizer)
        run.go_back(progress)
    good = taken(network, average, optimizer)
    store(run.state, good, progress)
    saved = time.monotonic()
    # Nothing in a step waits for the device: what it computes is looked at every few steps.
    with closing(batches_of(sampler, plan, progress.step, device)) as batches:
        for step in range(progress.step, plan.steps):
            began = time.monotonic()
            spent = run.seconds / (60 * plan.minutes) if plan.minutes else 0.0
            done = max(step / plan.steps, min(spent, 1.0))
            rate = progress.factor * schedule(done, plan)
            for group in optimizer.param_groups:
                group["lr"] = rate

            x, y = next(batches)
            waited = time.monotonic() - began

            network.train()
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = network(x)
            loss = criterion(logits.float(), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
            optimizer.step()
            update(list(weights_of(average)), list(weights_of(network)), step)
            run.step(
                step,
                loss=loss.detach(),
                learning_rate=rate,
                gradient_norm=norm.detach(),
                clipped_norm=norm.detach().clamp(max=plan.clip),
                memory_mb=memory_mb(device),
                data_seconds=waited,
                seconds=time.monotonic() - began,
            )

            last = step + 1 == plan.steps or done >= 1.0
            evaluated = last or (step + 1) % plan.evaluate_every == 0
            if evaluated or (step + 1) % plan.look_every == 0:
                if run.flush():
                    good = taken(network, average, optimizer)
                else:
                    put_back(good, network, average, optimizer)
                    progress.factor = halved(progress.factor, step)
                progress.step = step + 1
            if evaluated:
                verdict = evaluate(average) if evaluate else Verdict()
                figures = verdict.figures
                run.keep(average, "last", {"step": step + 1, **figures})
                score = figures.get("score", 0.0)
                if not figures or progress.best is None or score > progress.best:
                    progress.best = score
                    run.keep(average, "best", {"step": step + 1, **figures})
                run.epoch(step + 1, verdict)
            if evaluated or (progress.step == step + 1 and time.monotonic() - saved >= 60 * plan.save_minutes):
                progress.seconds = run.seconds
                store(run.state, good, progress)
                saved = time.monotonic()
            if last:
                break
    run.restore(average, "best")
    return average.to("cpu")


def batches_of(sampler: Sampler, plan: Plan, first: int, device: torch.device) -> Generator[Batch]:
    """The plan's batches from a step on. Sample `i` is drawn by the numbers of (seed, i), whoever draws it."""

    def draw(i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return sampler.draw(np.random.default_rng([plan.seed, i]))

    return feed(draw, range(first * plan.batch, plan.steps * plan.batch), plan.batch, plan.workers, device)


def memory_mb(device: torch.device) -> float:
    """The most memory that was held so far: of the device, or on the CPU by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def halved(factor: float, step: int) -> float:
    """Half of the factor on the learning rate.

    Raises:
        CascadeError: It was halved so often that the rate is not what is wrong.
    """
    if factor < 1e-3:
        raise CascadeError(
            "E_DIVERGED",
            f"the loss is not finite near step {step + 1}, at a thousandth of the learning rate too; "
            "look for values in the data that are not finite",
        )
    return factor / 2


def schedule(done: float, plan: Plan) -> float:
    """The learning rate after a share `done` (0..1) of the training: linear warm-up, then a cosine."""
    if done < plan.warm_up:
        return plan.learning_rate * max(done / plan.warm_up, 0.02)
    share = (done - plan.warm_up) / (1 - plan.warm_up)
    return plan.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def moving_average(decay: float) -> Average:
    """An update of averaged weights that forgets faster while few were seen, so that the start does not stay in.

    After `n` steps the decay is `(1 + n) / (10 + n)`, and `decay` at most; the first update (`n` = 0) is a copy.
    """

    @torch.no_grad()
    def update(averaged: Weights, current: Weights, seen: int) -> None:
        share = 1 - min(decay, (1 + seen) / (10 + seen)) if seen else 1.0
        pairs = list(zip(averaged, current, strict=True))
        means = [mean for mean, _ in pairs if mean.is_floating_point()]
        values = [value for mean, value in pairs if mean.is_floating_point()]
        torch._foreach_lerp_(means, values, share)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)

    return update


def weights_of(network: nn.Module) -> Iterator[torch.Tensor]:
    """All that makes a network what it is: parameters and buffers."""
    return itertools.chain(network.parameters(), network.buffers())


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
