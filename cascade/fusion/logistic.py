"""A monotone logistic model: few inputs, coefficients that are never negative, a ridge; and what to say about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Values = NDArray[np.float64]


def fit_monotone(x: Values, y: Values, ridge: float = 1.0, weight: Values | None = None) -> tuple[float, Values]:
    """Fit intercept and non-negative coefficients by maximum likelihood with a ridge.

    Args:
        x: Inputs `[n, k]`, already counted from their baselines; NaN counts as the baseline.
        y: 0 or 1, `[n]`.
        ridge: Half the inverse variance of a coefficient's prior, in units of the input's own deviation.
        weight: Of each row, `[n]`; None for 1.

    Returns:
        The intercept and the coefficients `[k]` in units of the inputs.
    """
    x = np.nan_to_num(x)
    scale = np.maximum(x.std(axis=0), 1e-3)
    scaled = x / scale
    weight = np.ones(len(y)) if weight is None else weight
    sign = np.where(y > 0.5, 1.0, -1.0)

    def loss(theta: Values) -> tuple[float, Values]:
        margin = sign * (theta[0] + scaled @ theta[1:])
        pull = -weight * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        value = float(weight @ np.logaddexp(0, -margin)) + ridge * float(theta[1:] @ theta[1:]) + 0.01 * theta[0] ** 2
        slope = np.concatenate([[pull.sum() + 0.02 * theta[0]], scaled.T @ pull + 2 * ridge * theta[1:]])
        return value, slope

    k = x.shape[1]
    bounds = [(None, None)] + [(0.0, None)] * k
    from scipy.optimize import minimize  # fitting alone needs it

    found = minimize(loss, np.zeros(k + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:] / scale


def platt(odds: Values, y: Values) -> tuple[float, float]:
    """Slope and offset that turn log-odds into calibrated ones; the slope is never negative.

    The targets are drawn in from 0 and 1 as Platt did (Advances in Large Margin Classifiers, 1999), so that a
    perfect split of few exams doesn't become a certainty.
    """
    positive, negative = float((y > 0.5).sum()), float((y <= 0.5).sum())
    target = np.where(y > 0.5, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(theta: Values) -> tuple[float, Values]:
        z = np.clip(theta[0] * odds + theta[1], -50, 50)
        p = expit(z)
        value = float(np.logaddexp(0, z).sum() - target @ z)
        return value, np.array([(p - target) @ odds, (p - target).sum()])

    from scipy.optimize import minimize

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.05, 5.0), (-20.0, 20.0)]).x
    return float(found[0]), float(found[1])


def folds(y: Sequence[bool], patients: Sequence[str] | None = None, count: int = 5) -> NDArray[np.int64]:
    """A fold for each exam: patients stay together, and positive ones are dealt out evenly.

    Args:
        y: Whether each exam is positive.
        patients: Whose each exam is; None for a patient an exam.
        count: At most so many folds.
    """
    names = [str(i) for i in range(len(y))] if patients is None else list(patients)
    positive = {name: any(hit for hit, n in zip(y, names, strict=True) if n == name) for name in names}
    order = sorted(dict.fromkeys(names), key=lambda name: positive[name])
    count = max(min(count, sum(positive.values()), len(order) - sum(positive.values())), 2)
    fold = {name: i % count for i, name in enumerate(order)}
    return np.array([fold[name] for name in names])
