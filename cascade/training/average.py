"""The moving average of a network's weights, which is what a training keeps.

Source: Polyak and Juditsky, 1992; the warm-up of the decay is TensorFlow's.

Torch's `AveragedModel` gives the same bits, but wraps the network: the names in every checkpoint would be others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

Weights = list[torch.Tensor]
Average = Callable[[nn.Module, nn.Module, int], None]


def moving_average(decay: float) -> Average:
    """An update of averaged weights that forgets faster while few were seen, so that the start does not stay in.

    After `n` steps the decay is `(1 + n) / (10 + n)`, and `decay` at most; the first update (`n` = 0) is a copy.
    """

    def update(average: nn.Module, network: nn.Module, seen: int) -> None:
        share = 1 - min(decay, (1 + seen) / (10 + seen)) if seen else 1.0
        mix(list(weights_of(average)), list(weights_of(network)), share)

    return update


@torch.no_grad()
def mix(averaged: Weights, current: Weights, share: float) -> None:
    """Move averaged weights by a share towards the current ones, in place; whole numbers are copied."""
    pairs = list(zip(averaged, current, strict=True))
    moved = [pair for pair in pairs if pair[0].is_floating_point()]
    if moved:
        torch._foreach_lerp_([mean for mean, _ in moved], [value for _, value in moved], share)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)


def weights_of(network: nn.Module) -> Iterator[torch.Tensor]:
    """All that makes a network what it is: parameters and buffers."""
    return itertools.chain(network.parameters(), network.buffers())
