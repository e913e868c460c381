"""Learning rates, beside torch's."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from cascade.training.plan import Plan
from cascade.training.schedules import BEGIN, END, RISE, SCHEDULES, schedule

STEPS = 200


def rates(optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> list[float]:
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def adam(rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def test_the_cosine_is_torchs_after_the_warm_up() -> None:
    plan, optimizer = Plan(schedule="cosine", learning_rate=2e-3, warm_up=0.0), adam(2e-3)
    theirs = rates(optimizer, CosineAnnealingLR(optimizer, STEPS, eta_min=2e-5))
    assert [schedule(step / STEPS, plan) for step in range(STEPS)] == pytest.approx(theirs, rel=1e-6)


def test_one_cycle_is_torchs() -> None:
    plan, optimizer = Plan(schedule="onecycle", learning_rate=2e-3), adam(2e-3)
    scheduler = OneCycleLR(
        optimizer, 2e-3, total_steps=STEPS + 1, pct_start=RISE, div_factor=1 / BEGIN, final_div_factor=BEGIN / END
    )
    theirs = rates(optimizer, scheduler)
    # Torch turns down one step before the share says so.
    assert [schedule(step / STEPS, plan) for step in range(STEPS)] == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_rate_is_zero_or_above_the_highest(name: str) -> None:
    plan = Plan(schedule=name, learning_rate=1.0)  # type: ignore[arg-type]  # of the list
    assert all(0 < schedule(step / 50, plan) <= 1 for step in range(51))
