"""Crops to learn segmentation from, and the judge of a segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.core.bounds import WEIGHTS, refuse_outside
from cascade.core.errors import UsageError
from cascade.core.findings import Field
from cascade.core.patch import Patch
from cascade.datasets.case import Case
from cascade.training.augment import AugmentConfig, Geometry, intensity
from cascade.training.examples import Example
from cascade.training.feed import device_of, feed
from cascade.training.losses import SEGMENTATION, Loss, loss_of
from cascade.training.monitors import BINS, Evaluation, rates, tally
from segmenters.embolus import EmbolusEnsemble

# How often a crop is aimed at an embolus, at an artery, or anywhere in the case.
AIMS = {"embolus": 0.5, "arteries": 0.25, "anywhere": 0.25}


@dataclass(frozen=True)
class CropConfig:
    """Which crops to draw.

    Attributes:
        size: Points along y and x; multiples of 16.
        shares: How often each kind of case is drawn; kinds that are absent are left out.
    """

    size: tuple[int, int] = (144, 144)
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"simulated": 0.5, "procedural": 0.1, "real": 0.2, "hybrid": 0.2, "labelled": 0.1}
    )

    def __post_init__(self) -> None:
        """Refuse crops that no network takes, and shares that are none."""
        if any(side < 16 or side % 16 for side in self.size):
            raise UsageError(f"crops.size is {list(self.size)}; both sides must be multiples of 16", "E_CROPS")
        refuse_outside(self, "crops", "E_CROPS", {WEIGHTS: ("shares",)})


Change = Callable[
    [Case, Patch, NDArray[np.float32], NDArray[np.float32], np.random.Generator],
    tuple[NDArray[np.float32], NDArray[np.float32]],
]
"""Changes a sample's HU and what is true of it, before it is moved."""


class Crops:
    """Draws augmented crops from cases at the stage's resolution (`thin`).

    Args:
        cases: Where they are cut from.
        stage: Cuts them.
        config: Which.
        augment: How they are changed.
        weights: How often each case is drawn among those of its kind; all alike by default.
        change: A further change, before any other.

    Raises:
        UsageError: No case is of a kind that is drawn.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        stage: EmbolusEnsemble,
        config: CropConfig,
        augment: AugmentConfig,
        weights: NDArray[np.float64] | None = None,
        change: Change | None = None,
    ) -> None:
        self.stage, self.config, self.augment = stage, config, augment
        self.cases = list(cases)
        kinds = sorted({case.kind for case in self.cases})
        shares = np.array([config.shares.get(kind, 0.0) for kind in kinds])
        if not shares.sum() > 0:
            raise UsageError(f"crops.shares draws none of the cases, which are {', '.join(kinds) or 'none'}", "E_CROPS")
        self._kinds = [[i for i, case in enumerate(self.cases) if case.kind == kind] for kind in kinds]
        self._shares = shares / shares.sum()
        self._places = [
            {name: _voxels(getattr(case.truth, name)) for name in AIMS if name != "anywhere"} for case in cases
        ]
        self._weights = [None if weights is None else weights[some] / weights[some].sum() for some in self._kinds]
        self._change = change
        self._geometry = Geometry(augment)

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A view `[slice, y, x]` and its target `[output, y, x]`."""
        kind = int(rng.choice(len(self._kinds), p=self._shares))
        index = int(rng.choice(self._kinds[kind], p=self._weights[kind]))
        case, patch = self.cases[index], self._aim(index, rng)
        hu, target = self.stage.crop(case.study, patch), self.stage.target(case.study, case.truth, patch)
        if self._change is not None:
            hu, target = self._change(case, patch, hu, target, rng)
        hu, target = self._geometry(hu, target, rng)
        return self.stage.preprocess(intensity(hu, rng, self.augment)), target[:2]

    def _aim(self, index: int, rng: np.random.Generator) -> Patch:
        case, places = self.cases[index], self._places[index]
        aim = str(rng.choice(list(AIMS), p=list(AIMS.values())))
        voxels = places.get(aim)
        if voxels is not None and len(voxels):
            z, y, x = (float(v) for v in voxels[rng.integers(len(voxels))])
            y, x = (v + rng.uniform(-0.4, 0.4) * n for v, n in zip((y, x), self.config.size, strict=True))
        else:
            z, y, x = (rng.uniform(0, n - 1) for n in case.study.grid.shape)
        return Patch(round(z), y - self.config.size[0] / 2, x - self.config.size[1] / 2, (1.0, 1.0), self.config.size)


class CropEvaluator:
    """Figures of a segmenter on held-out cases: Dice over cases with emboli, false volume in cases without."""

    def __init__(
        self,
        cases: Sequence[Case],
        stage: EmbolusEnsemble,
        every: int = 2,
        threshold: float = 0.5,
        workers: int = 0,
        batch: int = 8,
        criterion: Loss | None = None,
    ) -> None:
        self.cases, self.stage, self.every, self.threshold = list(cases), stage, every, threshold
        self.workers, self.batch = workers, batch
        self.criterion = criterion or loss_of(SEGMENTATION)
        self._patches = [
            (i, patch)
            for i, case in enumerate(self.cases)
            for patch in list(stage.patches(case.study, case.truth))[::every]
        ]

    def __call__(self, network: nn.Module) -> Evaluation:
        """`dice` (mean over studies), `artery_dice`, `false_ml` (mean over studies known to have no embolus), `score`.

        And over all points together: the loss, and precision, recall and F1 of embolus.
        """
        sums, answers, loss = self._answers(network)
        overlaps = np.zeros((len(self.cases), 2, 3))
        for (i, _), some in zip(self._patches, sums, strict=True):
            overlaps[i] += some
        dice: list[float] = []
        arteries: list[float] = []
        false_ml: list[float] = []
        for case, overlap in zip(self.cases, overlaps, strict=True):
            if case.truth.arteries is not None:
                arteries.append(_dice(overlap[1]))
            if overlap[0, 2]:
                dice.append(_dice(overlap[0]))
            elif case.truth.embolus is not None:
                voxel_ml = self.stage.config.pixel_mm**2 * case.study.grid.spacing[0] * self.every / 1000
                false_ml.append(float(overlap[0, 1]) * voxel_ml)
        figures = {
            "dice": float(np.mean(dice)) if dice else 0.0,
            "artery_dice": float(np.mean(arteries)) if arteries else 0.0,
            "false_ml": float(np.mean(false_ml)) if false_ml else 0.0,
        }
        # A millilitre of false positive a study weighs as much as 0.05 of Dice.
        score = figures["dice"] - 0.05 * min(figures["false_ml"], 4.0)
        return Evaluation(
            {**figures, "score": score, "loss": loss, **rates(answers[0])},
            {"embolus": answers[0], "artery": answers[1]},
        )

    def _answers(self, network: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
        """How a network answers the patches.

        Returns:
            Of each patch, `[embolus or artery, 3]`: points marked rightly, points marked, points that are so. Of all
            points, how often each probability was given. The mean loss.
        """
        device = device_of(network)
        sums: list[torch.Tensor] = []
        answers = torch.zeros((2, 2, BINS), dtype=torch.int64, device=device)
        loss = torch.zeros((), device=device)
        with torch.inference_mode():
            for views, targets in feed(self._draw, range(len(self._patches)), self.batch, self.workers, device):
                logits = network(views)[:, :2].float()
                marked, true = torch.sigmoid(logits) >= self.threshold, targets >= 0.5
                sums.append(torch.stack([(marked & true).sum((2, 3)), marked.sum((2, 3)), true.sum((2, 3))], dim=2))
                answers += tally(torch.sigmoid(logits), targets)
                loss += self.criterion(logits, targets) * len(views) / len(self._patches)
        whole = np.concatenate([np.zeros((0, 2, 3)), *(some.cpu().numpy() for some in sums)])
        return whole, answers.cpu().numpy(), float(loss)

    def examples(self, network: nn.Module, most: int = 4) -> list[Example]:
        """What a network says of the patches with the most embolus, among some that are evenly spread."""
        some = range(0, len(self._patches), max(len(self._patches) // (10 * most), 1))
        fullest = sorted(some, key=lambda i: -float(self._draw(i)[1][0].sum()))[:most]
        examples = []
        for i in fullest:
            view, target = self._draw(i)
            with torch.inference_mode():
                logits = network(torch.from_numpy(view)[None].to(device_of(network)))[0, 0]
            answer = torch.sigmoid(logits.float()).cpu().numpy()
            case, patch = self._patches[i]
            title = f"{self.cases[case].name}, slice {patch.z}"
            examples.append(Example(title, view[len(view) // 2], target[0], answer))
        return examples

    def _draw(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        i, patch = self._patches[index]
        study, truth = self.cases[i].study, self.cases[i].truth
        return self.stage.view(study, patch), self.stage.target(study, truth, patch)[:2]


def _dice(sums: NDArray[np.float64]) -> float:
    return float(2 * sums[0] / max(sums[1] + sums[2], 1))


def _voxels(known: Field | None, most: int = 4000) -> NDArray[np.int64]:
    """Up to `most` voxels `[n, 3]` that are mostly covered, evenly thinned."""
    if known is None:
        return np.zeros((0, 3), dtype=np.int64)
    voxels = np.argwhere(known.values >= 128)
    corner = np.array([known.box.z0, known.box.y0, known.box.x0], dtype=np.int64)
    thinned: NDArray[np.int64] = voxels[:: max(len(voxels) // most, 1)] + corner
    return thinned
