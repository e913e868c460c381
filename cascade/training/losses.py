"""Losses that know what is unknown: a NaN in a target is not learned from.

Unknown elements are masked, never picked out: picking waits for the device to count them, at every step. Every loss is
made of sums over samples (`totals`), so that it is the same whether one process has a batch or several share it, and
every loss is defined where a target is empty.

A network answers each question by one logit, so cross entropy is the binary one ("bce"). The softmax over two classes
is the same thing: of the logits (0, x), its second share is the sigmoid of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.bounds import NOT_NEGATIVE, refuse_outside
from cascade.core.errors import UsageError
from cascade.core.registry import nearest
from cascade.training.distributed import totals

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOG_OF_NONE = -4.0
"""What symmetric cross entropy takes for the logarithm of 0, as its authors do."""


@dataclass(frozen=True)
class LossConfig:
    """What is learned from, as a weighted sum.

    Attributes:
        terms: Weight of each loss, by its name in `LOSSES`.
        outputs: Weight of each output of the network, which is then judged by itself; empty to judge all together.
        smooth: Points that are added to both sides of a Dice or Tversky share: it defines them for empty targets.
        focal_gamma: How fast what is answered well stops to count.
        focal_alpha: Weight of what is there; what is not has the rest.
        tversky_alpha: Weight of false positives.
        tversky_beta: Weight of what is missed.
        tversky_gamma: Focal Tversky's root.
        reverse: Weight of the reverse cross entropy within the symmetric one.
    """

    terms: Mapping[str, float] = field(default_factory=lambda: {"bce": 1.0})
    outputs: tuple[float, ...] = ()
    smooth: float = 50.0
    focal_gamma: float = 2.0
    focal_alpha: float = 0.25
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_gamma: float = 4 / 3
    reverse: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no loss."""
        for name, weight in self.terms.items():
            if name not in LOSSES:
                raise UsageError(f"loss.terms names {name!r}; {nearest(name, LOSSES)}", "E_LOSS")
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"loss.terms.{name} is {weight}; it must not be negative", "E_LOSS")
        if not any(self.terms.values()) or (self.outputs and not any(self.outputs)):
            raise UsageError("the loss has no term with a weight over 0; give one, such as loss.terms.bce=1", "E_LOSS")
        if any(not (math.isfinite(weight) and weight >= 0) for weight in self.outputs):
            raise UsageError(f"loss.outputs is {self.outputs}; weights must not be negative", "E_LOSS")
        amounts = ("smooth", "focal_gamma", "focal_alpha", "tversky_alpha", "tversky_beta", "tversky_gamma", "reverse")
        refuse_outside(self, "loss", "E_LOSS", {NOT_NEGATIVE: amounts})
        if self.focal_alpha > 1 or self.tversky_gamma < 1:
            raise UsageError("loss.focal_alpha is a share, 1 at most, and loss.tversky_gamma 1 at least", "E_LOSS")


def loss_of(config: LossConfig) -> Loss:
    """The loss that a configuration describes: logits and targets of one shape `[n, output, ...]` to a number.

    Where `outputs` are weighed, targets and logits may have more outputs than weights: the rest is not learned from.
    """
    terms = [(weight, LOSSES[name]) for name, weight in config.terms.items() if weight]

    def one(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.stack([weight * term(logits, target, config) for weight, term in terms]).sum()

    def each(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        pairs = [(weight, logits[:, i], target[:, i]) for i, weight in enumerate(config.outputs) if weight]
        return torch.stack([weight * one(told, true) for weight, told, true in pairs]).sum()

    return each if config.outputs else one


def of_all(criterion: Loss, outputs: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    """The loss of a network that answers once, or the mean over the answers of one with deep supervision.

    Source: Lee et al., "Deeply-supervised nets", AISTATS 2015.
    """
    if isinstance(outputs, torch.Tensor):
        return criterion(outputs.float(), target)
    return torch.stack([criterion(one.float(), target) for one in outputs]).mean()


def bce(logits: torch.Tensor, target: torch.Tensor, config: LossConfig | None = None) -> torch.Tensor:
    """Mean binary cross entropy over the known elements; 0 where none is known. Same shapes."""
    return _mean(*_cross_entropy(logits, target))


def focal(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """Cross entropy in which what is answered well hardly counts; mean over the known elements.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017; for coverages between 0 and 1 by the
    distance of answer and target, as Li et al., "Generalized focal loss", NeurIPS 2020.
    """
    each, known = _cross_entropy(logits, target)
    p, t = torch.sigmoid(logits.float()), _or_zero(target.float(), known)
    side = config.focal_alpha * t + (1 - config.focal_alpha) * (1 - t)
    return _mean(side * (p - t).abs().clamp(min=1e-6) ** config.focal_gamma * each, known)


def symmetric(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """Cross entropy and its reverse: a wrong label pulls no harder than a right one. Mean over the known elements.

    Source: Wang et al., "Symmetric cross entropy for robust learning with noisy labels", ICCV 2019.
    """
    each, known = _cross_entropy(logits, target)
    p, t = torch.sigmoid(logits.float()), _or_zero(target.float(), known)
    of_yes, of_no = (torch.log(share).clamp(min=LOG_OF_NONE) for share in (t, 1 - t))
    return _mean(each - config.reverse * (p * of_yes + (1 - p) * of_no), known)


def soft_dice(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """1 - Dice over all known elements of a batch together.

    Over the batch and not per sample, so that samples without foreground are defined and count.

    Source: Milletari et al., "V-Net", 3DV 2016, with squares in the denominator.
    """
    p, t = _shares(logits, target)
    both, ours, theirs = totals((p * t).sum(), (p * p).sum(), (t * t).sum())
    return 1 - (2 * both + config.smooth) / (ours + theirs + config.smooth)


def tversky(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """1 - Tversky's index over all known elements of a batch together: Dice that weighs what is missed by itself.

    Source: Salehi et al., "Tversky loss function for image segmentation", MLMI 2017.
    """
    p, t = _shares(logits, target)
    both, false_positives, missed = totals((p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum())
    wrong = config.tversky_alpha * false_positives + config.tversky_beta * missed
    return 1 - (both + config.smooth) / (both + wrong + config.smooth)


def focal_tversky(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """A root of Tversky's loss, so that what is nearly right still teaches.

    Source: Abraham and Khan, "A novel focal Tversky loss function", ISBI 2019.
    """
    # A root is infinitely steep at 0.
    return tversky(logits, target, config).clamp(min=1e-6) ** (1 / config.tversky_gamma)


def lovasz(logits: torch.Tensor, target: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """The convex closure of 1 - intersection over union, by the hinge of the logits; mean over samples.

    Source: Berman et al., "The Lovász-softmax loss", CVPR 2018; its binary form, per image: sorted errors of a whole
    batch are no sum over samples.
    """
    told, true = logits.float().flatten(1), target.float().flatten(1)
    known = ~torch.isnan(true)
    yes = (true >= 0.5).float()
    # The unknown is right by far: it comes last and adds nothing.
    errors = torch.where(known, 1 - told * (2 * yes - 1), -torch.inf)
    errors, order = errors.sort(dim=1, descending=True)
    hits = yes.gather(1, order)
    of_truth = hits.sum(1, keepdim=True)
    jaccard = 1 - (of_truth - hits.cumsum(1)) / (of_truth + (1 - hits).cumsum(1))
    slope = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    each = (F.relu(errors) * slope).sum(1)
    some = known.any(1)
    return _mean(_or_zero(each, some), some)


LOSSES: Mapping[str, Callable[[torch.Tensor, torch.Tensor, LossConfig], torch.Tensor]] = {
    "bce": bce,
    "dice": soft_dice,
    "focal": focal,
    "focal_tversky": focal_tversky,
    "lovasz": lovasz,
    "symmetric": symmetric,
    "tversky": tversky,
}

SEGMENTATION = LossConfig({"dice": 1.0, "bce": 5.0}, outputs=(1.0, 0.5))
"""Embolus and artery, the embolus counting twice. Cross entropy is weighed up: embolus is a pixel in a thousand."""


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each element, 0 where it is unknown; and whether it is known."""
    known = ~torch.isnan(target)
    each = F.binary_cross_entropy_with_logits(logits.float(), _or_zero(target.float(), known), reduction="none")
    return _or_zero(each, known), known


def _mean(each: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Of the known elements; the others are 0 already, or are made so."""
    whole, count = totals(_or_zero(each, known).sum(), known.sum())
    return whole / count.clamp(min=1)


def _shares(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probability and truth of each element, both 0 where it is unknown."""
    known = ~torch.isnan(target)
    return _or_zero(torch.sigmoid(logits.float()), known), _or_zero(target.float(), known)


def _or_zero(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return torch.where(known, values, 0.0)
