"""The training loop, told in the order of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.core.errors import CascadeError
from cascade.training.checkpoint import Tensors, TrainingState, load, part, save
from cascade.training.distributed import world
from cascade.training.feed import Batch, Draw, feed
from cascade.training.learner import Learner
from cascade.training.losses import Loss
from cascade.training.monitors import Evaluation
from cascade.training.overfit_check import LittleSample
from cascade.training.plan import Plan
from cascade.training.precision import autocast
from cascade.training.run import Run
from cascade.training.schedules import schedule
from cascade.training.start import refuse_others

Evaluate = Callable[[nn.Module], Evaluation]


class Sampler(Protocol):
    """Draws samples to learn from."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A view and its target, augmented."""
        ...


def fit(
    network: nn.Module, sampler: Sampler, criterion: Loss, plan: Plan, run: Run, evaluate: Evaluate | None = None
) -> nn.Module:
    """Train a network and return the moving average of its weights, in evaluation mode.

    Args:
        network: Takes float32 `[n, channel, y, x]` or `[n, channel, z, y, x]`, returns logits; in training mode it may
            return a list of them, the main ones first, and the loss is their mean.
        sampler: Where samples come from.
        criterion: Logits and targets to a scalar; must leave NaN targets out, and be made of `totals`.
        plan: How long and how hard.
        run: The folder that keeps what happened; one that is resumed goes on where it was stored last, on the CPU to
            the same bits that it would have come to without the stop.
        evaluate: What a network in evaluation mode is worth; its "score" chooses the best.

    Returns:
        The averaged network: the best evaluated one, or the last where nothing was evaluated.

    Raises:
        CascadeError: The loss is not finite whatever the rate, or was never finite, or a little sample was not learned.
        UsageError: The run that is resumed is one of another network, or has no step left.
    """
    here = world()
    # The processes of a training drop out different things.
    torch.manual_seed(plan.seed + 1_000_003 * here.rank)
    learner = Learner(network, criterion, plan)
    draw = draw_of(sampler, plan)
    little = LittleSample(draw, plan.little_sample, plan.batch, criterion, here.device) if plan.little_sample else None
    progress = TrainingState()
    if run.resumed:
        tensors, progress = load(run.state)
        refuse_others(learner.network, part(tensors, "network."), run.state)
        run.refuse_ended(progress.step, plan.steps)
        learner.restore(tensors)
        run.go_back(progress)
    good = learner.snapshot()
    save(run.state, good, progress)
    saved = time.monotonic()
    # Nothing in a step waits for the device: what it computes is looked at every few steps.
    with closing(batches_of(draw, plan, progress.step, here.device)) as batches:
        for step in range(progress.step, plan.steps):
            if progress.over(plan):
                break
            began = time.monotonic()
            minutes, since_start = clock_of(run, plan)
            batch = next(batches)
            waited = time.monotonic() - began
            figures = learner.step(step, progress.factor * schedule(plan.done(step, minutes), plan), batch)
            run.step(step, **figures, data_seconds=waited, seconds=time.monotonic() - began)

            last = step + 1 == plan.steps or plan.is_over(minutes, since_start)
            evaluated = last or (step + 1) % plan.evaluate_every == 0
            looked = evaluated or (step + 1) % plan.look_every == 0
            if looked:
                if run.flush(plan.steps):
                    good = learner.snapshot()
                else:
                    learner.restore(good)
                    progress.factor = halved(progress.factor, step)
                progress.step = step + 1
            if evaluated:
                judged(run, learner.average, progress, evaluation_of(learner.average, little or evaluate, plan))
                progress.since_best = int(here.shared(progress.since_best))
            if looked and here.shared(evaluated or time.monotonic() - saved >= 60 * plan.save_minutes):
                progress.seconds = run.seconds
                save(run.state, good, progress)
                saved = time.monotonic()
            if last:
                break
    refuse_unlearned(good)
    here.wait()
    run.restore(learner.average, "best")
    run.conclude()
    if little:
        little.hold(Evaluation(run.figures("best")))
    return learner.average.to("cpu")


def draw_of(sampler: Sampler, plan: Plan) -> Draw:
    """The sample of a number: drawn by the random numbers of (seed, number), whoever draws it."""
    few = plan.little_sample

    def draw(i: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return sampler.draw(np.random.default_rng([plan.seed, i % few if few else i]))

    return draw


def batches_of(draw: Draw, plan: Plan, first: int, device: torch.device) -> Generator[Batch]:
    """This process's share of the plan's batches, from a step on."""
    here = world()
    return feed(draw, here.share(first, plan.steps, plan.batch), plan.batch // here.size, plan.workers, device)


def clock_of(run: Run, plan: Plan) -> tuple[float, float]:
    """Minutes spent in all starts together and since the last one, the same in all processes; 0 where none counts."""
    if not plan.minutes:
        return 0.0, 0.0
    return world().shared(run.seconds) / 60, world().shared(run.seconds_since_start) / 60


def evaluation_of(average: nn.Module, evaluate: Evaluate | None, plan: Plan) -> Evaluation:
    """What the averaged network is worth, which the main process finds out."""
    here = world()
    if evaluate is None or not here.is_main:
        return Evaluation()
    with autocast(here.device, plan):
        return evaluate(average)


def judged(run: Run, average: nn.Module, progress: TrainingState, evaluation: Evaluation) -> None:
    """Note an evaluation, and keep the weights under each name by which they are the best so far."""
    figures = evaluation.figures
    run.keep(average, "last", progress.step, evaluation)
    # Without an evaluation the last are the best.
    progress.since_best += 1
    if not figures or progress.improved("best", figures.get("score", 0.0)):
        progress.since_best = 0
        run.keep(average, "best", progress.step, evaluation)
    for name, value in (("best_loss", -figures.get("loss", np.inf)), ("best_f1", figures.get("f1", -np.inf))):
        if np.isfinite(value) and progress.improved(name, value):
            run.keep(average, name, progress.step, evaluation)
    run.epoch(progress.step, evaluation)


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


def refuse_unlearned(good: Tensors) -> None:
    """Refuse to end with the weights that the training began with.

    Args:
        good: What was `taken` where figures were finite last; it holds the optimizer's memory once a step was kept.

    Raises:
        CascadeError: No step was kept.
    """
    if not part(good, "optimizer."):
        raise CascadeError(
            "E_NOT_FINITE",
            "the loss or its gradient was not finite whenever it was looked at, so nothing was learned; look for "
            "values in the data that are not finite, or lower plan.learning_rate",
        )
