"""What a network of volumes is worth: its answers to whole held-out cases, cut into the stage's own blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from cascade.core.findings import Field
from cascade.datasets.case import Case
from cascade.metrics.lesions import match
from cascade.training.examples import Example
from cascade.training.monitors import BINS, Evaluation, rates
from cascade.training.scans import answer_of, net_of
from cascade.training.volumes import clot_numbers
from segmenters.coarse import CoarseConfig, CoarseEnsemble

LEVELS = 256
"""Of a stage's map: 0..255 stands for 0..1."""
HALF = 128
"""The level from which a point is marked at a probability of 0.5."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What an answer is worth in one case.

    Attributes:
        points: How many points of each level there are, truly without and truly with embolus `[2, 256]`.
        clots: Clots of the truth.
        touched: Those that a component of the answer overlaps.
        false: Components of the answer that overlap none, of `cascade.metrics.lesions.FALSE_POSITIVE_MM3` or more.
    """

    points: NDArray[np.int64]
    clots: int
    touched: int
    false: int

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice where points are marked from each level on `[256]`."""
        false, true = self.points[:, ::-1].cumsum(axis=1)[:, ::-1]
        return np.asarray(2 * true / (true + false + true[0]), np.float64)


class VolumeEvaluator:
    """Figures of a network of volumes on whole held-out cases.

    Args:
        files: Packed cases; those of which nobody knows the emboli are left out.
        config: How the stage cuts them.
    """

    def __init__(self, files: Iterable[Path], config: CoarseConfig | None = None) -> None:
        truths = ((path, Case.load(path).truth.embolus) for path in files)
        self._points = {path: np.count_nonzero(one.values >= HALF) for path, one in truths if one is not None}
        self.files = list(self._points)
        self.config = config or CoarseConfig()

    def __call__(self, network: nn.Module) -> Evaluation:
        """`score`, the best mean Dice (over cases with emboli) of any one threshold, and that `threshold`.

        At 0.5: `dice`, `clots_touched` (share), `false_positives` (mean over cases), `false_per_negative` (mean over
        cases without emboli), and of all points together precision, recall and F1. Where no case has an embolus the
        score is `false_positives`, negative.
        """
        stage = CoarseEnsemble({"net": net_of(network)}, self.config)
        return evaluation([seen_in(case, answer_of(stage, case).embolus) for case in map(Case.load, self.files)])

    def examples(self, network: nn.Module, most: int = 4) -> list[Example]:
        """What a network says of the slice with the most embolus, in the cases with the most of it."""
        stage = CoarseEnsemble({"net": net_of(network)}, self.config)
        fullest = sorted(self.files, key=lambda path: -self._points[path])[:most]
        return [example_of(stage, Case.load(path)) for path in fullest]


def example_of(stage: CoarseEnsemble, case: Case) -> Example:
    """A picture of what a stage says of the slice with the most embolus in a case that knows its emboli."""
    assert case.truth.embolus is not None, "only cases that know their emboli are judged"
    shape, found = case.study.grid.shape, answer_of(stage, case).embolus
    true = case.truth.embolus.full(shape)
    z = int((true >= HALF).sum(axis=(1, 2)).argmax())
    view = stage.preprocess(case.study.hu[z : z + 1].astype(np.float32))[0, 0]
    answer = np.zeros(shape[1:], np.uint8) if found is None else found.full(shape)[z]
    maps = [(one / (LEVELS - 1)).astype(np.float32) for one in (true[z], answer)]
    return Example(f"{case.name}, slice {z}", view, *maps)


def seen_in(case: Case, answer: Field | None) -> Seen:
    """Compare an answer with the truth of a case that knows its emboli."""
    import cc3d

    numbers = clot_numbers(case)
    assert numbers is not None, "only cases that know their emboli are judged"
    assert case.truth.embolus is not None, "only cases that know their emboli are judged"
    shape = case.study.grid.shape
    levels = np.zeros(shape, np.uint8) if answer is None else answer.full(shape)
    true = case.truth.embolus.full(shape) >= HALF
    components = cc3d.connected_components(levels >= HALF, connectivity=26)
    matched = match(components, numbers, case.study.grid.voxel_mm3)
    points = np.stack([np.bincount(levels[where], minlength=LEVELS) for where in (~true, true)])
    return Seen(points, len(matched.clots), int(matched.found.sum()), len(matched.false))


def evaluation(cases: Sequence[Seen]) -> Evaluation:
    """The figures of some cases together."""
    with_emboli = [one.dice for one in cases if one.points[1].any()]
    false = float(np.mean([one.false for one in cases])) if cases else 0.0
    negatives = [one.false for one in cases if not one.points[1].any()]
    clots = sum(one.clots for one in cases)
    figures = {
        "clots_touched": sum(one.touched for one in cases) / max(clots, 1),
        "false_positives": false,
        "false_per_negative": float(np.mean(negatives)) if negatives else 0.0,
    }
    if with_emboli:
        mean = np.mean(with_emboli, axis=0)
        best = 1 + int(np.argmax(mean[1:]))  # from level 0 on everything is marked
        score = {"score": float(mean[best]), "threshold": best / (LEVELS - 1), "dice": float(mean[HALF])}
    else:
        score = {"score": -false, "threshold": 0.5, "dice": 0.0}
    answers = np.zeros((2, BINS), np.int64)
    bins = np.minimum(np.arange(LEVELS) * BINS // (LEVELS - 1), BINS - 1)
    for one in cases:
        for row, points in zip(answers, one.points, strict=True):
            np.add.at(row, bins, points)
    return Evaluation({**score, **figures, **rates(answers)}, {"embolus": answers})
