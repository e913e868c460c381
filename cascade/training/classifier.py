"""Training the classifiers: which slices to draw, what stands for lung and for none, and the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from cascade.anatomy.lungs import reference_of
from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Findings, Slices
from cascade.core.registry import build, refuse_unknown
from cascade.core.stage import Learned
from cascade.datasets import open_cases, refuse_unknown_layout
from cascade.datasets.case import Case
from cascade.training import negatives
from cascade.training.arguments import run_arguments
from cascade.training.augment import AugmentConfig
from cascade.training.finish import Say, finish
from cascade.training.loop import fit
from cascade.training.losses import LossConfig, loss_of
from cascade.training.plan import Plan
from cascade.training.precision import decided
from cascade.training.run import Run, Watch, refuse_no_room, refuse_used
from cascade.training.slices import Change, SliceConfig, SliceEvaluator, SliceSample, SliceSampler, collect
from cascade.training.split import refuse_shared
from cascade.training.start import seeded, start_from
from cascade.training.trial import refuse_misfit
from classifiers import NETWORKS, STAGES, LungFilter, Siamese
from classifiers.lung_filter import LungFilterConfig
from classifiers.siamese_stage import SiameseConfig

QUESTIONS = {"lung_filter": ("lung", "pe"), "siamese": ("pe",)}

LUNG_CM2 = 5.0
"""A slice shows lung from this area on."""

_UNSURE_CM2 = (2.5, 7.5)


def _slices_of_lung_filter() -> SliceConfig:
    """Bodies lie, and scanners see, in every way; the answer depends on no side, so mirroring is allowed."""
    return SliceConfig(
        shares={"no_lung": 0.45, "lung": 0.25, "no_embolus": 0.15, "embolus": 0.15},
        kinds={
            "labelled": 2.0,
            "made": 1.2,
            "filled": 1.2,
            "real": 1.0,
            "simulated": 0.7,
            "procedural": 0.3,
            "hybrid": 0.5,
        },
        matched={"no_embolus": "embolus"},
        mirror=0.25,
    )


def _slices_of_siamese() -> SliceConfig:
    """Emboli are small: the picture is moved less, and blurred as little as scanners do."""
    return SliceConfig(
        shares={"embolus": 0.5, "no_embolus": 0.5},
        matched={"no_embolus": "embolus"},
        kinds={"simulated": 1.0, "procedural": 0.25, "hybrid": 0.5, "real": 0.3, "labelled": 0.3},
        margin=40,
        rotate_degrees=20.0,
        quarter_turns=0.0,
        scale=(0.8, 1.25),
        shift=12.0,
        crop=0.1,
        density=(0.7, 1.4),
        augment=AugmentConfig(),
    )


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """How the network of a classifier stage is trained: `LungFilterTraining` or `SiameseTraining`.

    Attributes:
        stage: Name of the stage.
        net: Name of the network, one that --help lists (a key of `classifiers.NETWORKS`).
        arguments: The network's own, by name.
        start: Weights (safetensors) to begin with.
        imagenet: Begin the EfficientNet with ImageNet weights, where no `start` is given.
        config: How studies are cut for the network.
        plan: How long and how hard to train.
        loss: What is learned from.
        slices: Which slices to draw, and how to change them.
        slices_per_case: Slices of one case at most.
        dataset: Layout of the data sets; found by looking by default.
        assume_negative: Whether plain scans, of which nobody says anything, are taken to show no embolism.
        fusion: Whether to fit the fusion at the end, where there are validation data and the bundle is whole.
    """

    stage: str
    net: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    imagenet: bool = True
    config: LungFilterConfig | SiameseConfig
    plan: Plan = field(default_factory=lambda: Plan(steps=2000, batch=16, learning_rate=1e-3))
    loss: LossConfig = field(default_factory=LossConfig)
    slices: SliceConfig
    slices_per_case: int = 60
    dataset: str | None = None
    assume_negative: bool = False
    fusion: bool = True

    def __post_init__(self) -> None:
        """Refuse names that are on no list, and no slices at all."""
        refuse_unknown("network", self.net, NETWORKS, "E_UNKNOWN_NETWORK")
        refuse_unknown_layout(self.dataset)
        if self.slices_per_case < 1:
            raise UsageError(f"slices_per_case is {self.slices_per_case}; it must be 1 or more", "E_SLICES")


@dataclass(frozen=True, kw_only=True)
class LungFilterTraining(ClassifierTraining):
    """How the network of the lung filter is trained."""

    stage: Literal["lung_filter"] = "lung_filter"
    net: str = LungFilter.network
    config: LungFilterConfig = field(default_factory=LungFilterConfig)
    slices: SliceConfig = field(default_factory=_slices_of_lung_filter)


@dataclass(frozen=True, kw_only=True)
class SiameseTraining(ClassifierTraining):
    """How the network of the Siamese stage is trained."""

    stage: Literal["siamese"] = "siamese"
    net: str = Siamese.network
    config: SiameseConfig = field(default_factory=SiameseConfig)
    slices: SliceConfig = field(default_factory=_slices_of_siamese)


TRAININGS: Mapping[str, Callable[[], ClassifierTraining]] = {
    "lung_filter": LungFilterTraining,
    "siamese": SiameseTraining,
}
"""The usual settings by the name of the stage."""


def train_classifier(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    settings: ClassifierTraining,
    *,
    base: Bundle | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    say: Say = lambda _: None,
) -> Bundle:
    """Train the network of a classifier stage.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads.
        validation: Folders of cases of other patients, to choose the best weights by; may be empty.
        out: The run folder; must be new.
        settings: How to train, and which stage.
        base: The bundle that supplies the other stages.
        resume: Go on with the run in `out`, which was stopped; with the same settings it ends in the same.
        watch: Called with how it goes.
        say: Called with what a person should know.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A patient stands on both sides of the split, the run folder is not new, or the network does not
            answer the stage's questions.
    """
    stage, config, slices = settings.stage, settings.config, settings.slices
    kind: Any = STAGES[stage]
    learned: Learned = kind(config=config)
    if not resume:
        refuse_used(out)
    network = network_of(settings, out, resume)
    most = settings.slices_per_case
    cases = opened(data, settings)
    learn = slices_of(cases, learned, slices, most, settings.plan.seed)
    held = [
        plane
        for case in opened(validation, settings)
        for plane in collect(with_lung_slices(case), learned, slices.margin, most)
    ]
    refuse_shared({plane.patient for plane in learn}, {plane.patient for plane in held})
    drawn = SliceSampler(learn, learned, class_of, slices, gas(config.pixel_mm) if stage == "lung_filter" else None)
    refuse_one_class(drawn.shares)
    plan, criterion = decided(settings.plan, say), loss_of(settings.loss)
    counts = {"learned_slices": len(learn), "validation_slices": len(held)}
    run = Run(out, run_arguments(replace(settings, plan=plan), data, validation, base, counts), resume, watch)
    judge = SliceEvaluator(held, learned, QUESTIONS[stage], slices.margin, plan.workers, criterion) if held else None
    trained = fit(network, drawn, criterion, plan, run, judge)
    if judge is not None:
        run.show(judge.examples(trained))
    figures = {name: round(value, 4) for name, value in run.figures("best").items()}
    member = Network.of(settings.net, settings.arguments, trained, (3, config.size, config.size), figures)
    whole = (base or Bundle(name=out.name)).with_stage(StageEntry(stage, config, (member,)))
    return finish(whole, out, validation, settings.dataset, settings.fusion, say, settings.assume_negative)


def opened(folders: Iterable[Path], settings: ClassifierTraining) -> Iterator[Case]:
    """The cases of some folders, one at a time."""
    return (case for one in folders for case in open_cases(one, settings.dataset, settings.assume_negative))


def network_of(settings: ClassifierTraining, out: Path, resume: bool) -> nn.Module:
    """The network with the weights that it begins with; one that is resumed has them in its state.

    Raises:
        UsageError: It does not answer the stage's questions, or does not take its start weights.
        OutputError: There is no room for the run.
    """
    seeded(settings.plan)
    network: Any = build(NETWORKS, settings.net, settings.arguments)
    size = (3, settings.config.size, settings.config.size)
    refuse_misfit(network, settings.net, size, len(QUESTIONS[settings.stage]))
    if not resume:
        if settings.start is not None:
            start_from(network, settings.start)
        elif settings.imagenet and hasattr(network, "start_from_imagenet"):
            network.start_from_imagenet()
    refuse_no_room(out, network)
    return cast(nn.Module, network)


def refuse_one_class(classes: Iterable[str]) -> None:
    """Refuse slices that are all of one class: a network would learn to say it always.

    Raises:
        InputError: They are.
    """
    names = list(classes)
    if len(names) < 2:
        raise InputError(
            "E_ONE_CLASS", f"all slices are {names[0]}: there is nothing to tell apart; add cases of others"
        )


def class_of(target: NDArray[np.float32]) -> str:
    """The class by which a slice is drawn, from a target of the lung filter `[2]` or of the Siamese stage `[1]`."""
    lung, pe = (float(target[0]), float(target[1])) if len(target) == 2 else (1.0, float(target[0]))
    if math.isnan(lung):
        return "unknown"
    if lung < 0.5:
        return "no_lung"
    if math.isnan(pe):
        return "lung"
    return "embolus" if pe >= 0.5 else "no_embolus"


def slices_of(
    cases: Iterable[Case], stage: Learned, config: SliceConfig, most: int, seed: int = 0
) -> list[SliceSample]:
    """The pool of a stage: the cases' slices; for the lung filter, made slices without lung as well.

    Args:
        cases: Whatever knows something of its slices; lung by slice is taken from the lungs where it is not given.
        stage: `LungFilter` or `Siamese`.
        config: Its margin is used.
        most: Slices of one case at most.
        seed: Of what is made.
    """
    rng = np.random.default_rng(seed)
    pool: list[SliceSample] = []
    for case in cases:
        known = with_lung_slices(case)
        pool += collect(known, stage, config.margin, most)
        if isinstance(stage, LungFilter) and case.kind == "real":
            pool += filled(known, stage, config.margin, 2 * most, rng)
    if isinstance(stage, LungFilter) and pool:
        size = stage.config.size + config.margin
        for i in range(600):
            hu = negatives.make((size, size), stage.config.pixel_mm, rng)
            pool.append(SliceSample(_int16(hu), np.zeros(2, np.float32), "made", f"made {i}"))
    return pool


def with_lung_slices(case: Case) -> Case:
    """The case with lung known slice by slice, by the threshold finder where its truth does not say.

    Slices with an area near 5 cm2 stay unknown: the finder's error is of that size.
    """
    known = case.truth.slices
    if (known is not None and np.isfinite(known.lung).any()) or case.study.grid.shape[0] < 10:
        return case
    spacing = case.study.grid.spacing
    reference = reference_of(case.study, case.truth)
    area = reference.mask.sum(axis=(1, 2)) * spacing[1] * spacing[2] / 100
    lung = (area >= LUNG_CM2).astype(np.float32)
    lung[(area >= _UNSURE_CM2[0]) & (area < _UNSURE_CM2[1])] = np.nan
    slices = replace(known or Slices.unknown(len(lung)), lung=lung)
    return replace(case, truth=replace(case.truth, slices=slices, reference=reference))


def filled(case: Case, stage: LungFilter, margin: int, most: int, rng: np.random.Generator) -> list[SliceSample]:
    """Slices of a real chest with organs where the lungs were: no lung."""
    wide = LungFilter(config=replace(stage.config, size=stage.config.size + margin))
    lungs = reference_of(case.study, case.truth).mask
    patches = [f for f in wide.patches(case.study, Findings(case.study.grid)) if lungs[f.z].any()]
    out: list[SliceSample] = []
    for patch in patches[:: max(len(patches) // most, 1)]:
        hu = wide.crop(case.study, patch)[0]
        # Airways are no lung to the finder, but a slice without lung has none.
        mask = (patch.crop_labels(lungs[patch.z]) > 0) | _inner_gas(hu)
        made = negatives.fill_lungs(hu, mask, stage.config.pixel_mm, rng)
        out.append(SliceSample(_int16(made), np.zeros(2, np.float32), "filled", case.patient))
    return out


def gas(pixel_mm: float) -> Change:
    """A change for `SliceSampler`: gas in the bowel, often where there is no lung, seldom where there is some."""

    def change(hu: NDArray[np.float32], name: str, rng: np.random.Generator) -> NDArray[np.float32]:
        often, most = (0.35, 8) if name == "no_lung" else (0.1, 2)
        return negatives.add_gas(hu, pixel_mm, rng, most) if rng.random() < often else hu

    return change


def _inner_gas(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Points under -500 HU that no air at the picture's rim reaches."""
    low = (hu < -500).astype(np.uint8)
    low = np.pad(low, 1, constant_values=1)
    cv2.floodFill(low, None, (0, 0), 0)
    return np.asarray(low[1:-1, 1:-1] > 0)


def _int16(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(np.clip(hu, -3000, 4000)).astype(np.int16)
