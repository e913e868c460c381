"""Losses that know what is unknown: a NaN in a target is not learned from.

Unknown elements are masked, never picked out: picking waits for the device to count them, at every step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def bce(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean binary cross entropy over the known elements; 0 where none is known. Same shapes."""
    known = ~torch.isnan(target)
    each = F.binary_cross_entropy_with_logits(logits.float(), _or_zero(target.float(), known), reduction="none")
    return _or_zero(each, known).sum() / known.sum().clamp(min=1)


def soft_dice(logits: torch.Tensor, target: torch.Tensor, smooth: float = 50.0) -> torch.Tensor:
    """1 - Dice over all known elements of a batch together.

    Over the batch and not per sample, so that samples without foreground are defined and count.

    Source: Milletari et al., "V-Net", 3DV 2016, with squares in the denominator.
    """
    known = ~torch.isnan(target)
    p = _or_zero(torch.sigmoid(logits.float()), known)
    t = _or_zero(target.float(), known)
    return 1 - (2 * (p * t).sum() + smooth) / ((p * p).sum() + (t * t).sum() + smooth)


def embolus_and_artery(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Loss of the segmentation stage: Dice and cross entropy for each output, the embolus counting twice.

    Args:
        logits: `[n, 2, y, x]`.
        target: `[n, 2 or more, y, x]`, coverage 0..1; NaN where unknown.
    """
    loss = logits.sum() * 0
    for channel, weight in ((0, 1.0), (1, 0.5)):
        pair = logits[:, channel], target[:, channel]
        # Cross entropy is weighed up: embolus is about one pixel in a thousand.
        loss = loss + weight * (soft_dice(*pair) + 5 * bce(*pair))
    return loss


def _or_zero(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return torch.where(known, values, 0.0)
