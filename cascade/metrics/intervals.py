"""Figures over many studies, each with an interval that says how little a few studies prove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cascade.metrics.score import Score

ROUNDS = 2000
"""Bootstrap rounds."""


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval; None where too few studies define it."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Summary:
    """What a set of studies says of a cascade.

    Attributes:
        studies: How many.
        positives: Those with an embolus.
        dice: Mean per study over the positives.
        dice_all: Mean over all studies with anything in truth or answer: an alarm in a negative study scores 0.
        clots: Clots in all.
        found: Those found.
        false_positives_per_negative: Mean number of alarms in a study without embolus.
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
        """JSON-ready."""
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
        false_positives_per_negative=mean([s.false_positives for s in negative], seed).value,
        false_positives_per_positive=mean([s.false_positives for s in positive if s.outlined], seed).value,
        auc=auc_with_interval(truth, ranked, seed),
        sensitivity=wilson(sum(s.decision == "positive" for s in positive), len(positive)),
        specificity=wilson(sum(s.decision != "positive" for s in negative), len(negative)),
        brier=float(np.mean((ranked - truth) ** 2)) if len(truth) else None,
        brier_constant=prevalence * (1 - prevalence) if len(truth) else None,
        abstentions=sum(s.probability is None for s in scores),
    )


def auc(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    """Chance that a positive is ranked above a negative, ties half; None without both kinds."""
    above = score[truth][:, None] - score[~truth][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0))) if above.size else None


def auc_with_interval(truth: NDArray[np.bool_], score: NDArray[np.float64], seed: int = 0) -> Figure:
    """The area with its 95 % bootstrap interval over studies; rounds that lack one kind are drawn again."""
    value = auc(truth, score)
    if value is None:
        return Figure(None)
    rng = np.random.default_rng(seed)

    def one() -> float:
        while True:
            pick = rng.integers(0, len(truth), len(truth))
            drawn = auc(truth[pick], score[pick])
            if drawn is not None:
                return drawn

    return _figure(value, one)


def mean(values: Sequence[float], seed: int = 0) -> Figure:
    """The mean with its 95 % bootstrap interval."""
    if not values:
        return Figure(None)
    array = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    return _figure(float(array.mean()), lambda: float(array[rng.integers(0, len(array), len(array))].mean()))


def wilson(hits: int, count: int) -> Figure:
    """A share with its 95 % interval by Wilson, which holds at 0, at 1 and for few studies."""
    if not count:
        return Figure(None)
    z, share = 1.959964, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Figure(share, max(middle - half, 0.0), min(middle + half, 1.0))


def _figure(value: float, draw: Callable[[], float]) -> Figure:
    drawn = [draw() for _ in range(ROUNDS)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(value, float(low), float(high))
