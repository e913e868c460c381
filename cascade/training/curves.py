"""The curves of a trained network, drawn from how often it gave each probability: ROC, precision, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.training.monitors import BINS, figure_of, save_figure

Answers = NDArray[np.int64]
"""How often each probability was given: `[truly no or yes, bin]`."""

GROUPS = 10
"""Of probability, in a reliability diagram."""


def roc(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of false positives and of what is found, with the threshold falling from above 1 to 0."""
    no, yes = _from_above(answers)
    return no / max(no[-1], 1.0), yes / max(yes[-1], 1.0)


def precision_recall(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision with the threshold falling from above 1 to 0; precision is 1 where there is no positive."""
    no, yes = _from_above(answers)
    given = no + yes
    return yes / max(yes[-1], 1.0), np.divide(yes, given, out=np.ones_like(yes), where=given > 0)


def reliability(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each group of answers that was given at all: the mean probability, the share that is so, how many."""
    middles = (np.arange(BINS) + 0.5) / BINS
    grouped = answers.reshape(2, GROUPS, -1)
    count = grouped.sum(axis=(0, 2)).astype(float)
    total = (grouped.sum(axis=0) * middles.reshape(GROUPS, -1)).sum(axis=1)
    given = count > 0
    return total[given] / count[given], grouped[1].sum(axis=1)[given] / count[given], count[given]


def draw_curves(folder: Path, answers: Mapping[str, Answers]) -> None:
    """`roc.png`, `precision_recall.png` and `reliability.png`, with a plot for each question."""
    for name, across, up, curve in (
        ("roc", "1 - specificity", "sensitivity", roc),
        ("precision_recall", "recall", "precision", precision_recall),
        ("reliability", "probability given", "share that is so", lambda one: reliability(one)[:2]),
    ):
        figure, axes = figure_of(1, len(answers))
        for (question, counts), axis in zip(answers.items(), axes, strict=True):
            axis.plot(*curve(counts), marker="." if name == "reliability" else None)
            if name != "precision_recall":
                axis.plot([0, 1], [0, 1], color="grey", linewidth=0.7, linestyle="--")
            axis.set_xlim(-0.02, 1.02)
            axis.set_ylim(-0.02, 1.02)
            axis.set_title(question)
            axis.set_xlabel(across)
            axis.set_ylabel(up)
        save_figure(figure, folder / f"{name}.png")


def _from_above(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many no and yes lie above each threshold, from the highest; 0 first."""
    sums = np.cumsum(answers[:, ::-1], axis=1, dtype=np.float64)
    no, yes = np.concatenate([np.zeros((2, 1)), sums], axis=1)
    return no, yes
