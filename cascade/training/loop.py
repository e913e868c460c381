"""The training loop, told in the order of time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.errors import CascadeError, UsageError
from cascade.runtime.torch_eager import layout
from cascade.training.average import moving_average
from cascade.training.feed import Batch, Draw, feed
from cascade.training.little import LittleSample
from cascade.training.losses import Loss, of_all
from cascade.training.memory import memory_mb
from cascade.training.monitors import Verdict
from cascade.training.plan import Plan
from cascade.training.ranks import world
from cascade.training.run import Run
from cascade.training.schedules import schedule
from cascade.training.state import Progress, load, part, put_back, store, taken

Evaluate = Callable[[nn.Module], Verdict]


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
        CascadeError: The loss is not finite whatever the rate, or a little sample was not learned.
        UsageError: The run that is resumed is one of another network, or has no step left.
    """
    here = world()
    # The processes of a training drop out different things.
    torch.manual_seed(plan.seed + 1_000_003 * here.rank)
    device = here.device
    dimensions = max((p.dim() for p in network.parameters()), default=4)
    network = network.to(device, memory_format=layout(dimensions))  # type: ignore[call-overload]  # not in the stubs
    torch.backends.cudnn.benchmark = True  # batches are of one size
    average = copy.deepcopy(network).eval()
    learner = here.together(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=device.type == "cuda"
    )
    update = moving_average(plan.ema)
    draw = draw_of(sampler, plan)
    little = LittleSample(draw, plan.little_sample, plan.batch, criterion, device) if plan.little_sample else None
    evaluate = little or evaluate
    progress = Progress()
    if run.resumed:
        tensors, progress = load(run.state)
        refuse_others(network, part(tensors, "network."), run.state)
        run.refuse_ended(progress.step, plan.steps)
        put_back(tensors, network, average, optimizer)
        run.go_back(progress)
    good = taken(network, average, optimizer)
    store(run.state, good, progress)
    saved = time.monotonic()
    # Nothing in a step waits for the device: what it computes is looked at every few steps.
    with closing(batches_of(draw, plan, progress.step, device)) as batches:
        for step in range(progress.step, plan.steps):
            if progress.over(plan):
                break
            began = time.monotonic()
            spent = here.shared(run.seconds) / (60 * plan.minutes) if plan.minutes else 0.0
            done = max(step / plan.steps, min(spent, 1.0))
            rate = progress.factor * schedule(done, plan)
            for group in optimizer.param_groups:
                group["lr"] = rate

            x, y = next(batches)
            waited = time.monotonic() - began

            in_training(network, plan)
            with precision(device, plan):
                answers = learner(x)
            loss = of_all(criterion, answers, y)
            optimizer.zero_grad(set_to_none=True)
            (loss + l1(network, plan)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
            optimizer.step()
            update(average, network, step)
            run.step(
                step,
                loss=loss.detach(),
                learning_rate=rate,
                gradient_norm=norm.detach(),
                clipped_norm=norm.detach().clamp(max=plan.clip),
                **memory_mb(device),
                data_seconds=waited,
                seconds=time.monotonic() - began,
            )

            last = step + 1 == plan.steps or done >= 1.0
            evaluated = last or (step + 1) % plan.evaluate_every == 0
            looked = evaluated or (step + 1) % plan.look_every == 0
            if looked:
                if run.flush(plan.steps):
                    good = taken(network, average, optimizer)
                else:
                    put_back(good, network, average, optimizer)
                    progress.factor = halved(progress.factor, step)
                progress.step = step + 1
            if evaluated:
                with precision(device, plan):
                    verdict = evaluate(average) if evaluate and here.leads else Verdict()
                judged(run, average, progress, verdict)
                progress.since_best = int(here.shared(progress.since_best))
            if looked and here.shared(evaluated or time.monotonic() - saved >= 60 * plan.save_minutes):
                progress.seconds = run.seconds
                store(run.state, good, progress)
                saved = time.monotonic()
            if last:
                break
    here.wait()
    run.restore(average, "best")
    run.conclude()
    if little:
        little.hold(Verdict(run.figures("best")))
    return average.to("cpu")


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


def in_training(network: nn.Module, plan: Plan) -> None:
    """Set a network to learn; its BatchNorm too, unless that is to stay as it is."""
    network.train()
    if plan.freeze_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def precision(device: torch.device, plan: Plan) -> torch.autocast:
    """The precision of activations within a block."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.precision == "bf16")


def l1(network: nn.Module, plan: Plan) -> torch.Tensor | float:
    """The L1 penalty on the weights of convolutions and linear layers: not on biases, nor on what normalises."""
    if not plan.l1_lambda:
        return 0.0
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    weights = [module.weight for module in network.modules() if isinstance(module, kinds)]
    return plan.l1_lambda * torch.stack([weight.abs().sum() for weight in weights]).sum()


def judged(run: Run, average: nn.Module, progress: Progress, verdict: Verdict) -> None:
    """Note an evaluation, and keep the weights under each name by which they are the best so far."""
    figures = verdict.figures
    run.keep(average, "last", progress.step, verdict)
    # Without an evaluation the last are the best.
    progress.since_best += 1
    if not figures or progress.improved("best", figures.get("score", 0.0)):
        progress.since_best = 0
        run.keep(average, "best", progress.step, verdict)
    for name, value in (("best_loss", -figures.get("loss", np.inf)), ("best_f1", figures.get("f1", -np.inf))):
        if np.isfinite(value) and progress.improved(name, value):
            run.keep(average, name, progress.step, verdict)
    run.epoch(progress.step, verdict)


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


def seeded(plan: Plan) -> None:
    """Begin torch's random numbers at the seed: before a network is built, so that its start weights are the seed's."""
    torch.manual_seed(plan.seed)


def start_from(network: nn.Module, path: Path) -> dict[str, Any]:
    """Load start weights from a safetensors file, in place. Returns its metadata.

    Raises:
        UsageError: It is no such file, or holds the weights of another network.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        text = f"{path} holds no weights ({error}); give a safetensors file, such as RUN/checkpoints/best"
        raise UsageError(f"{text}/weights.safetensors", "E_START") from error
    refuse_others(network, weights, path)
    network.load_state_dict(weights)
    return metadata


def refuse_others(network: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse the weights of another network.

    Raises:
        UsageError: They are; the first tensor that differs is named.
    """
    ours, theirs = ({k: v.shape for k, v in one.items()} for one in (network.state_dict(), weights))
    differing = {name for name, _ in ours.items() ^ theirs.items()}
    if differing:
        raise UsageError(
            f"{path} holds the weights of another network: {len(differing)} tensors differ, {min(differing)!r} first; "
            "name the network, and its arguments, that they were trained with",
            "E_START",
        )
