"""Learning rates by the share of the training that is done: without memory, so a resumed run needs none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from cascade.training.plan import Plan

RISE = 0.3
"""Share of a one-cycle training in which the rate rises."""
BEGIN, END = 1 / 25, 1 / 250_000
"""A one-cycle's first and last rates, as shares of the highest."""


def schedule(done: float, plan: Plan) -> float:
    """The learning rate after a share `done` (0..1) of the training."""
    return plan.learning_rate * SCHEDULES[plan.schedule](done, plan)


def cosine(done: float, plan: Plan) -> float:
    """Linear warm-up, then a cosine down to a hundredth.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts.
    """
    if done < plan.warm_up:
        return max(done / plan.warm_up, 0.02)
    share = (done - plan.warm_up) / (1 - plan.warm_up)
    return 0.01 + 0.99 * _fall(share)


def constant(done: float, plan: Plan) -> float:
    """Linear warm-up, then the same rate to the end: for a training that goes on, whose weights are averaged."""
    return max(done / plan.warm_up, 0.02) if done < plan.warm_up else 1.0


def onecycle(done: float, plan: Plan) -> float:
    """Up by a cosine for a third of the time, and down to nearly nothing; the momentum stays as it is.

    Source: Smith and Topin, "Super-convergence", 2019, with the shares of torch's `OneCycleLR`.
    """
    if done < RISE:
        return 1 - (1 - BEGIN) * _fall(done / RISE)
    return END + (1 - END) * _fall((done - RISE) / (1 - RISE))


SCHEDULES: Mapping[str, Callable[[float, Plan], float]] = {"constant": constant, "cosine": cosine, "onecycle": onecycle}


def _fall(share: float) -> float:
    """From 1 to 0 while the share goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * share))
