"""The little-sample test: a set-up that cannot learn the same few samples by heart will not learn from many.

What it is held against is the best constant answer, which needs no learning: on scans that is nearly "no" everywhere,
and its cross entropy is already low.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cascade.core.errors import CascadeError
from cascade.training.feed import Draw, feed
from cascade.training.losses import Loss
from cascade.training.monitors import Evaluation

GATE = 0.5
"""The share of the best constant answer's loss that must be come under."""
_LEVELS = torch.linspace(-12, 12, 49)
"""Logits that a constant answer may have."""


class LittleSample:
    """Judges a network by the samples that it learns from.

    Args:
        draw: Gives the samples, the same ones as in training.
        count: How many.
        batch: How many at a time.
        criterion: The loss.
        device: Where the network is.
    """

    def __init__(self, draw: Draw, count: int, batch: int, criterion: Loss, device: torch.device) -> None:
        # Few and small: they are held.
        self._batches = [(x, y) for x, y in feed(draw, range(count), min(batch, count), 0, device)]
        self._count, self._criterion = count, criterion
        self._constant: float | None = None

    def __call__(self, network: nn.Module) -> Evaluation:
        """`loss`, `constant_loss` (of the best constant answer), and `score`: what share of that is gone."""
        with torch.inference_mode():
            loss = self._loss(network)
            if self._constant is None:
                self._constant = self._best_constant(network)
        return Evaluation(
            {"loss": loss, "constant_loss": self._constant, "score": 1 - loss / max(self._constant, 1e-9)}
        )

    def hold(self, evaluation: Evaluation) -> None:
        """Let a network pass that has learned.

        Raises:
            CascadeError: It has not, or there is nothing in these samples to be learned.
        """
        loss, constant = evaluation.figures["loss"], evaluation.figures["constant_loss"]
        if constant < 1e-3:
            text = f"one answer fits all of the {self._count} samples: nothing can be learned from them; take more"
            raise CascadeError("E_LITTLE_SAMPLE", text)
        if not loss < GATE * constant:
            raise CascadeError(
                "E_LITTLE_SAMPLE",
                f"the network did not learn {self._count} samples by heart: its loss is {loss:.3g} and must come under "
                f"half of the best constant answer's {constant:.3g}; look at the targets, the rate and plan.steps",
            )

    def _loss(self, network: Callable[[torch.Tensor], torch.Tensor]) -> float:
        shares = [(len(x) / self._count, self._criterion(network(x).float(), y)) for x, y in self._batches]
        return float(torch.stack([share * loss for share, loss in shares]).sum())

    def _best_constant(self, network: nn.Module) -> float:
        """By trying: each output in turn, the others as they are."""
        like = network(self._batches[0][0][:1])
        answer = torch.zeros((1, like.shape[1], *(1 for _ in like.shape[2:])), device=like.device)
        best = torch.inf

        def constant(x: torch.Tensor) -> torch.Tensor:
            return answer.expand(len(x), -1, *like.shape[2:])

        for output in range(like.shape[1]):
            losses = []
            for level in _LEVELS:
                answer[:, output] = level
                losses.append(self._loss(constant))
            best = min(losses)
            answer[:, output] = _LEVELS[losses.index(best)]
        return float(best)
