"""The moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cascade.training.average import mix, moving_average


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))


def learn(one: nn.Module, seed: int) -> None:
    """Move the weights, and the statistics of the normalisation with its count of batches."""
    generator = torch.Generator().manual_seed(seed)
    one.train()(torch.randn(2, 1, 8, 8, generator=generator))
    with torch.no_grad():
        for weight in one.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)


def test_the_average_is_torchs_bit_for_bit() -> None:
    one = network()
    average, update = copy.deepcopy(one), moving_average(0.9)

    def decayed(averaged: list[torch.Tensor], current: list[torch.Tensor], seen: torch.Tensor) -> None:
        mix(averaged, current, 1 - min(0.9, (1 + int(seen)) / (10 + int(seen))))

    theirs = AveragedModel(one, multi_avg_fn=decayed, use_buffers=True)
    for seen in range(12):
        learn(one, seen)
        update(average, one, seen)
        theirs.update_parameters(one)
    ours, other = average.state_dict(), theirs.module.state_dict()
    assert ours.keys() == other.keys()
    assert all(torch.equal(ours[name], other[name]) for name in ours)


def test_the_first_update_is_a_copy_and_the_start_is_soon_forgotten() -> None:
    one = network()
    average, update = copy.deepcopy(one), moving_average(0.999)
    learn(one, 1)
    update(average, one, 0)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), one.parameters(), strict=True))
    before = [weight.clone() for weight in average.parameters()]
    with torch.no_grad():
        for weight in one.parameters():
            weight += 1.0
    update(average, one, 10)
    share = 1 - 11 / 20
    assert all(
        torch.allclose(after - was, torch.full_like(was, share))
        for after, was in zip(average.parameters(), before, strict=True)
    )
