"""Figures with a 95 % interval that says how little a few studies prove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.metrics.ranking import Scores, Truth, auc

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


def bootstrap(statistic: Callable[[NDArray[np.int64]], float | None], count: int, seed: int = 0) -> Figure:
    """A figure of `count` studies with its bootstrap interval, by percentiles (Efron, 1979).

    scipy's takes statistics that every draw defines; here a draw may lack what the statistic needs.

    Args:
        statistic: Of studies given by their indices `[n]`; None where these do not define it: they are drawn again.
        count: How many studies there are.
        seed: The same gives the same interval.
    """
    value = statistic(np.arange(count))
    if value is None:
        return Figure(None)
    rng = np.random.default_rng(seed)

    def draw() -> float:
        while True:
            drawn = statistic(rng.integers(0, count, count))
            if drawn is not None:
                return drawn

    low, high = np.percentile([draw() for _ in range(ROUNDS)], [2.5, 97.5])
    return Figure(value, float(low), float(high))


def mean(values: Sequence[float], seed: int = 0) -> Figure:
    """The mean, over studies; None without any."""
    array = np.asarray(values, dtype=float)
    return bootstrap(lambda pick: float(array[pick].mean()) if len(pick) else None, len(array), seed)


def auc_with_interval(truth: Truth, score: Scores, seed: int = 0) -> Figure:
    """The area under the ROC curve, over studies; None without both kinds."""
    return bootstrap(lambda pick: auc(truth[pick], score[pick]), len(truth), seed)


def wilson(hits: int, count: int) -> Figure:
    """A share with its interval by Wilson (1927), which holds at 0, at 1 and for few studies; None without any."""
    from scipy.stats import binomtest  # a quarter of a second and 20 MB, which a run has no use for

    if not count:
        return Figure(None)
    interval = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="wilson")
    return Figure(hits / count, float(interval.low), float(interval.high))
