"""How well scores separate yes from no: by their order (AUC, average precision), at a threshold, as probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Scores = NDArray[np.float64]


def auc(truth: Truth, score: Scores) -> float | None:
    """Chance that a positive is ranked above a negative, ties half; None without both kinds.

    By ranks (Mann and Whitney, 1947), in time and memory of a sort. A score that is NaN is ranked wrongly: the figure
    stays one that a training can compare.
    """
    from scipy.stats import rankdata

    positives = int(np.count_nonzero(truth))
    pairs = positives * (len(truth) - positives)
    if not pairs:
        return None
    ranked = np.where(np.isnan(score), np.where(truth, -np.inf, np.inf), score)
    above = rankdata(ranked)[truth].sum() - positives * (positives + 1) / 2
    return float(above / pairs)


def average_precision(truth: Truth, score: Scores) -> float:
    """Mean precision over the steps of recall, by falling score; equal scores are one step."""
    order = np.argsort(-score, kind="stable")
    hits, count = np.cumsum(truth[order]), np.arange(1, len(truth) + 1)
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(truth) - 1)
    recall, precision = hits[ends] / max(hits[-1], 1), hits[ends] / count[ends]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def balanced_accuracy(truth: Truth, answer: Truth) -> float:
    """Mean of sensitivity and specificity; both kinds must be there."""
    return float((answer[truth].mean() + (~answer[~truth]).mean()) / 2)


def brier(truth: Truth, probability: Scores) -> float | None:
    """Mean square of probability minus truth (Brier, 1950); None without any."""
    return float(np.mean((probability - truth) ** 2)) if len(truth) else None
