"""What a set of studies says of a cascade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cascade.metrics.intervals import Figure, auc_with_interval, mean, wilson
from cascade.metrics.ranking import brier
from cascade.metrics.score import Score


@dataclass(frozen=True)
class Summary:
    """Figures over many studies.

    Attributes:
        studies: How many.
        positives: Those with an embolus.
        dice: Mean per study over the positives.
        dice_all: Mean over all studies with anything in truth or answer: a false positive in a negative study scores 0.
        clots: Clots in all.
        found: Those found.
        false_positives_per_negative: Mean number of false positives in a study without embolus.
        false_positives_per_positive: The same beside true clots.
        auc: Area under the ROC curve of the exam probability.
        sensitivity: Share of positives called `positive`; Wilson interval.
        specificity: Share of negatives not called `positive`; Wilson interval.
        brier: Mean square of probability minus truth.
        brier_constant: The same for a constant answer, the prevalence.
        abstentions: Answers without a probability; scored 0.5 in the ranking.
    """

    studies: int
    positives: int
    dice: Figure
    dice_all: Figure
    clots: int
    found: int
    false_positives_per_negative: float | None
    false_positives_per_positive: float | None
    auc: Figure
    sensitivity: Figure
    specificity: Figure
    brier: float | None
    brier_constant: float | None
    abstentions: int

    def as_dict(self) -> dict[str, object]:
        """The figures as JSON's dicts and numbers."""
        return asdict(self)


def summarise(scores: Sequence[Score], seed: int = 0) -> Summary:
    """All figures of a set of studies; the same seed gives the same intervals."""
    positive = [s for s in scores if s.positive]
    negative = [s for s in scores if not s.positive]
    truth = np.array([s.positive for s in scores], dtype=bool)
    ranked = np.array([s.ranked for s in scores], dtype=float)
    prevalence = float(truth.mean()) if len(truth) else 0.0
    return Summary(
        studies=len(scores),
        positives=len(positive),
        dice=mean([s.dice for s in positive if s.dice is not None], seed),
        dice_all=mean([s.dice for s in scores if s.dice is not None], seed),
        clots=sum(s.clots for s in scores),
        found=sum(s.found for s in scores),
        false_positives_per_negative=_plain_mean([s.false_positives for s in negative]),
        false_positives_per_positive=_plain_mean([s.false_positives for s in positive if s.outlined]),
        auc=auc_with_interval(truth, ranked, seed),
        sensitivity=wilson(sum(s.decision == "positive" for s in positive), len(positive)),
        specificity=wilson(sum(s.decision != "positive" for s in negative), len(negative)),
        brier=brier(truth, ranked),
        brier_constant=prevalence * (1 - prevalence) if len(truth) else None,
        abstentions=sum(s.probability is None for s in scores),
    )


def _plain_mean(counts: Sequence[int]) -> float | None:
    return float(np.mean(counts)) if counts else None
