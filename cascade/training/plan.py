"""How long and how hard to train."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cascade.core.bounds import COUNT, NOT_NEGATIVE, POSITIVE, SHARE_BELOW_1, refuse_outside
from cascade.core.errors import UsageError
from cascade.training.distributed import processes
from cascade.training.feed import usual_workers

_BOUNDS = {
    COUNT: ("steps", "batch", "evaluate_every", "look_every"),
    POSITIVE: ("learning_rate", "clip"),
    NOT_NEGATIVE: (
        *("minutes", "workers", "weight_decay", "seed", "l1_lambda", "little_sample", "patience", "save_minutes"),
    ),
    SHARE_BELOW_1: ("warm_up", "ema"),
}


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    Attributes:
        steps: Batches.
        batch: Samples a batch; where several processes train together, each takes its share of every batch.
        learning_rate: Highest rate.
        schedule: How the rate moves, a name of `cascade.training.schedules`.
        warm_up: Share of the steps in which the rate rises (of the schedules "cosine" and "constant").
        weight_decay: Decay of the weights, as AdamW has it.
        l1_lambda: Weight of the sum of absolute weights of convolutions and linear layers; 0 for none.
        clip: Largest L2 norm of the gradients.
        ema: Decay of the moving average of the weights, which is what is kept.
        precision: Of the activations: "bf16" (mixed, by autocast), "fp32", or "auto": bf16 where the processor has
            instructions for it.
        freeze_norm: BatchNorm keeps the statistics that it begins with: for start weights and small batches.
        evaluate_every: Steps between evaluations.
        patience: Evaluations without a better score after which training ends; 0 to go on to the end.
        little_sample: Learn, and be judged, on the same so many samples, to prove that a set-up can learn; training
            fails with a sentence if it does not. 0 for all data.
        minutes: Stop the clock here; 0 for no limit. Of all starts of a run together, and the schedule is stretched or
            shrunk to fit; with the schedule "constant", which goes on, of each start, and rates follow the steps alone.
        seed: Of everything random.
        workers: Processes that draw samples; 0 for the training's own. The samples are the same for any number.
        look_every: Steps between looks at their figures: the only times that a step waits for the device.
        save_minutes: Time between stored states, from which a run that was stopped can be resumed; they are stored at
            looks, and at every evaluation.
    """

    steps: int = 4000
    batch: int = 8
    learning_rate: float = 2e-3
    schedule: Literal["constant", "cosine", "onecycle"] = "cosine"
    warm_up: float = 0.05
    weight_decay: float = 1e-2
    l1_lambda: float = 0.0
    clip: float = 1.0
    ema: float = 0.998
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    freeze_norm: bool = False
    evaluate_every: int = 500
    patience: int = 0
    little_sample: int = 0
    minutes: float = 0.0
    seed: int = 0
    workers: int = field(default_factory=usual_workers)
    look_every: int = 50
    save_minutes: float = 1.0

    @property
    def goes_on(self) -> bool:
        """Whether a training has no end of its own: its rate comes down nowhere, so it may be taken up at any time."""
        return self.schedule == "constant"

    def done(self, step: int, minutes: float) -> float:
        """The share of the training that is done, 0..1, by which the rate goes.

        Args:
            step: Steps done.
            minutes: Spent, in all starts together.
        """
        spent = minutes / self.minutes if self.minutes and not self.goes_on else 0.0
        return max(step / self.steps, min(spent, 1.0))

    def is_over(self, minutes: float, since_start: float) -> bool:
        """Whether the clock stops a training.

        Args:
            minutes: Spent, in all starts together.
            since_start: Spent since the last start.
        """
        return bool(self.minutes) and (since_start if self.goes_on else minutes) >= self.minutes

    def __post_init__(self) -> None:
        """Refuse what no training can be run with, before a folder is made for it."""
        refuse_outside(self, "plan", "E_PLAN", _BOUNDS)
        if self.batch % processes():
            raise UsageError(
                f"plan.batch is {self.batch}, which the {processes()} processes cannot share; give a multiple", "E_PLAN"
            )
