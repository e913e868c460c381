"""Single slices to learn from: a pool drawn by class, kind and patient, moved and changed in HU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.core.bounds import NOT_NEGATIVE, RANGE, SHARE, WEIGHTS, refuse_outside
from cascade.core.errors import InputError, UsageError
from cascade.core.stage import Learned
from cascade.core.windows import AIR_HU
from cascade.datasets.case import Case
from cascade.metrics.ranking import auc, average_precision, balanced_accuracy, brier
from cascade.training.augment import AugmentConfig, intensity
from cascade.training.examples import Example
from cascade.training.feed import device_of, feed
from cascade.training.losses import Loss, bce
from cascade.training.monitors import Evaluation, rates, tally

Change = Callable[[NDArray[np.float32], str, np.random.Generator], NDArray[np.float32]]
"""Changes a slice's HU given the name of its class, without changing what is true of it."""

UNCHANGED: AugmentConfig = AugmentConfig(chance=0.0)


@dataclass(frozen=True, eq=False)
class SliceSample:
    """One slice.

    Attributes:
        hu: int16 `[y, x]`, what the stage cuts, with a margin of `SliceConfig.margin` points.
        target: float32 `[questions]`; NaN where unknown.
        kind: Where it comes from, as `Case.kind`.
        patient: Patients are drawn alike, however many slices each has.
        level: Height among the study's slices, 0 (feet) to 1 (head).
    """

    hu: NDArray[np.int16]
    target: NDArray[np.float32]
    kind: str
    patient: str
    level: float = 0.5


@dataclass(frozen=True)
class SliceConfig:
    """How slices are drawn and moved.

    Attributes:
        shares: How often each class is drawn; classes without slices are left out.
        kinds: How often each kind is drawn within a class, likewise; 1 where not named.
        matched: For a class, the class at whose heights its slices are drawn half of the time: else the height in the
            chest alone says much of the answer, since emboli lie at the hila.
        margin: Points beyond the picture on both sides together, for turning and shifting.
        rotate_degrees: Largest rotation, either way.
        quarter_turns: Probability of a further 90, 180 or 270 degrees: patients lie prone or on a side.
        mirror: Probability of swapping left and right; 0 for a stage that names sides.
        scale: Smallest and largest magnification.
        shift: Largest shift, points.
        crop: Probability of a smaller field of view: a circle or a rectangle, air outside.
        density: Factor range on HU above -1000 in lung: deep breath to opaque.
        augment: Changes of contrast, noise and kernel.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[str, float] = field(default_factory=dict)
    matched: Mapping[str, str] = field(default_factory=dict)
    margin: int = 64
    rotate_degrees: float = 20.0
    quarter_turns: float = 0.1
    mirror: float = 0.0
    scale: tuple[float, float] = (0.7, 1.3)
    shift: float = 20.0
    crop: float = 0.25
    density: tuple[float, float] = (0.4, 2.0)
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(noise_hu=80, blur=2.5, shift_hu=40))

    def __post_init__(self) -> None:
        """Refuse what no slice can be drawn by."""
        bounds = {
            SHARE: ("quarter_turns", "mirror", "crop"),
            NOT_NEGATIVE: ("margin", "rotate_degrees", "shift"),
            RANGE: ("scale", "density"),
            WEIGHTS: ("shares", "kinds"),
        }
        refuse_outside(self, "slices", "E_SLICES", bounds)


def collect(case: Case, stage: Learned, margin: int, most: int = 10_000) -> list[SliceSample]:
    """A case's slices as the stage cuts them, with a margin; those of which nothing is known are left out.

    Args:
        case: Where they come from.
        stage: A classifier stage with a `config.size`.
        margin: Points beyond the picture, both sides together.
        most: At most so many, evenly spread over each class.
    """
    wide = type(stage)(config=replace(stage.config, size=stage.config.size + margin))
    patches = [(f, wide.target(case.study, case.truth, f)) for f in wide.patches(case.study, case.truth)]
    known = [(f, t) for f, t in patches if np.isfinite(t).any()]
    step = max(len(known) / most, 1.0)
    some = [known[int(i * step)] for i in range(int(len(known) / step))]
    bottom, height = patches[0][0].z if patches else 0, max(len(patches) and patches[-1][0].z - patches[0][0].z, 1)
    return [
        SliceSample(
            np.clip(np.rint(wide.crop(case.study, patch)[0]), -32768, 32767).astype(np.int16),
            target,
            case.kind,
            case.patient,
            (patch.z - bottom) / height,
        )
        for patch, target in some
    ]


class SliceSampler:
    """Draws augmented slices: first the class, then the kind, then the patient, then the slice.

    Args:
        samples: The pool.
        stage: Preprocesses what is drawn.
        classes: Name of a slice's class from its target.
        config: How often, and how far moved.
        change: A further change of HU, before anything else.

    Raises:
        InputError: No class has slices.
    """

    def __init__(
        self,
        samples: Iterable[SliceSample],
        stage: Learned,
        classes: Callable[[NDArray[np.float32]], str],
        config: SliceConfig,
        change: Change | None = None,
    ) -> None:
        self.stage, self.config, self.change = stage, config, change
        self.pool: dict[str, dict[str, dict[str, list[SliceSample]]]] = {}
        for sample in samples:
            kinds = self.pool.setdefault(classes(sample.target), {})
            kinds.setdefault(sample.kind, {}).setdefault(sample.patient, []).append(sample)
        self.shares = {c: config.shares.get(c, 0.0) for c in self.pool if config.shares.get(c, 0.0) > 0}
        if not self.shares:
            wanted, there = (", ".join(sorted(names)) or "none" for names in (config.shares, self.pool))
            raise InputError(
                "E_NO_SLICES",
                f"slices of {wanted} are wanted, the data have {there}; add data whose slices are labelled",
            )
        for name in self.shares:
            if not any(config.kinds.get(kind, 1.0) > 0 for kind in self.pool[name]):
                those = ", ".join(sorted(self.pool[name]))
                raise UsageError(f"slices.kinds draws none of the slices of {name}, which are {those}", "E_SLICES")

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A view `[channel, y, x]` and its target `[questions]`."""
        name = _choose(self.shares, rng)
        slices = self._patient(name, rng)
        sample = slices[int(rng.integers(len(slices)))]
        other = self.config.matched.get(name)
        if other in self.pool and rng.random() < 0.5:
            those = self._patient(other, rng)
            level = those[int(rng.integers(len(those)))].level
            sample = min(slices, key=lambda one: abs(one.level - level))
        hu = sample.hu.astype(np.float32)
        if self.change is not None:
            hu = self.change(hu, name, rng)
        hu = self._intensity(self._move(hu, rng), rng)
        return self.stage.preprocess(hu[None]), sample.target

    def _patient(self, name: str, rng: np.random.Generator) -> list[SliceSample]:
        """The slices of one class, of one patient."""
        kinds = self.pool[name]
        patients = kinds[_choose({k: self.config.kinds.get(k, 1.0) for k in kinds}, rng)]
        return patients[str(rng.choice(sorted(patients)))]

    def _move(self, hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        config, size = self.config, hu.shape[0] - self.config.margin
        angle = float(rng.uniform(-config.rotate_degrees, config.rotate_degrees))
        if rng.random() < config.quarter_turns:
            angle += 90.0 * int(rng.integers(1, 4))
        scale = float(np.exp(rng.uniform(*np.log(config.scale))))
        matrix: NDArray[Any] = cv2.getRotationMatrix2D(((hu.shape[1] - 1) / 2, (hu.shape[0] - 1) / 2), angle, scale)
        matrix[:, 2] += rng.uniform(-config.shift, config.shift, 2) - config.margin / 2
        if rng.random() < config.mirror:
            matrix[0] = -matrix[0]
            matrix[0, 2] += size - 1
        moved = cv2.warpAffine(hu, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=AIR_HU)
        if rng.random() < config.crop:
            moved[~_field_of_view(size, rng)] = AIR_HU
        return np.asarray(moved, dtype=np.float32)

    def _intensity(self, hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        if rng.random() < self.config.augment.chance:
            factor = np.exp(rng.uniform(*np.log(self.config.density)))
            hu = np.where(hu < -400, np.minimum(-1000 + (hu + 1000) * factor, -300), hu).astype(np.float32)
        return np.asarray(intensity(hu[None], rng, self.config.augment)[0])


class SliceEvaluator:
    """Balanced accuracy and area under the ROC curve of each question on held-out slices as they are."""

    def __init__(
        self,
        samples: Sequence[SliceSample],
        stage: Learned,
        questions: Sequence[str],
        margin: int,
        workers: int = 0,
        criterion: Loss = bce,
    ) -> None:
        self.samples, self.stage, self.questions, self.margin = list(samples), stage, tuple(questions), margin
        self.workers, self.criterion = workers, criterion

    def __call__(self, network: nn.Module) -> Evaluation:
        """`NAME_balanced` (at 0.5) and `NAME_auc` of each question that has both answers, and `score`, their mean.

        And of each question average precision (`NAME_ap`), the Brier score, and the `rates`; `f1` of all questions
        (their mean), and the loss.
        """
        logits = torch.from_numpy(self.logits(network))
        targets = np.stack([sample.target for sample in self.samples])
        probability = torch.sigmoid(logits)
        answers = dict(zip(self.questions, tally(probability, torch.from_numpy(targets)).numpy(), strict=True))
        scores: dict[str, float] = {}
        figures: dict[str, float] = {}
        for i, (name, counts) in enumerate(answers.items()):
            known = np.isfinite(targets[:, i])
            truth, p = targets[known, i] >= 0.5, probability.numpy()[known, i].astype(np.float64)
            if truth.any() and not truth.all():
                scores[f"{name}_balanced"] = balanced_accuracy(truth, p >= 0.5)
                scores[f"{name}_auc"] = auc(truth, p) or 0.0
                figures[f"{name}_ap"] = average_precision(truth, p)
            figures[f"{name}_brier"] = brier(truth, p) or 0.0
            figures |= {f"{name}_{key}": value for key, value in rates(counts).items()}
        figures["f1"] = float(np.mean([figures[f"{name}_f1"] for name in answers]))
        figures["loss"] = float(self.criterion(logits, torch.from_numpy(targets)))
        score = float(np.mean(list(scores.values()))) if scores else 0.0
        return Evaluation({**scores, "score": score, **figures}, answers)

    def logits(self, network: nn.Module, batch: int = 16) -> NDArray[np.float32]:
        """What the network says of each slice, `[n, questions]`."""
        device = device_of(network)
        out: list[torch.Tensor] = []
        with torch.inference_mode():
            for views, _ in feed(self._draw, range(len(self.samples)), batch, self.workers, device):
                out.append(network(views).float())
        logits: NDArray[np.float32] = torch.cat(out).cpu().numpy()
        return logits

    def examples(self, network: nn.Module, most: int = 6) -> list[Example]:
        """What a network says of some slices, evenly spread."""
        some = list(range(0, len(self.samples), max(len(self.samples) // most, 1)))[:most]
        examples = []
        for i in some:
            view, target = self._draw(i)
            with torch.inference_mode():
                logits = network(torch.from_numpy(view)[None].to(device_of(network)))[0]
            probability = torch.sigmoid(logits.float()).cpu().numpy()
            each = zip(self.questions, probability, target, strict=True)
            examples.append(Example("; ".join(f"{name} {p:.2f}, truly {t:.0f}" for name, p, t in each), view[0]))
        return examples

    def _draw(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sample, rim = self.samples[index], self.margin // 2
        inner = sample.hu[rim : sample.hu.shape[0] - rim, rim : sample.hu.shape[1] - rim].astype(np.float32)
        return self.stage.preprocess(inner[None]), sample.target


def _choose(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    names = sorted(shares)
    weights = np.array([shares[n] for n in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _field_of_view(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    cy, cx = size / 2 + rng.uniform(-0.08, 0.08, 2) * size
    if rng.random() < 0.5:
        return np.asarray((y - cy) ** 2 + (x - cx) ** 2 < (rng.uniform(0.4, 0.52) * size) ** 2)
    half = rng.uniform(0.38, 0.5, 2) * size
    return np.asarray((np.abs(y - cy) < half[0]) & (np.abs(x - cx) < half[1]))
