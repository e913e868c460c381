"""Training the classifiers: which slices to draw, what stands for lung and for none, and the recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import reference_of
from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Findings, Slices
from cascade.core.registry import build, nearest
from cascade.core.stage import Learned
from cascade.datasets import open_cases
from cascade.datasets.case import Case
from cascade.training import negatives
from cascade.training.augment import AugmentConfig
from cascade.training.finish import Say, finish
from cascade.training.loop import fit, seeded, start_from
from cascade.training.losses import LossConfig, loss_of
from cascade.training.plan import Plan
from cascade.training.run import Run, Watch, refuse_no_room, refuse_used, sources
from cascade.training.slices import Change, SliceConfig, SliceEvaluator, SliceSample, SliceSampler, collect
from cascade.training.split import refuse_shared
from cascade.training.trial import refuse_misfit
from classifiers import NETWORKS, STAGES, LungFilter

QUESTIONS = {"lung_filter": ("lung", "pe"), "siamese": ("pe",)}

LUNG_CM2 = 5.0
"""A slice shows lung from this area on."""

_UNSURE_CM2 = (2.5, 7.5)

SLICES = {
    # Bodies lie, and scanners see, in every way; the answer depends on no side, so mirroring is allowed.
    "lung_filter": SliceConfig(
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
    ),
    # Emboli are small: the picture is moved less, and blurred as little as scanners do.
    "siamese": SliceConfig(
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
    ),
}


def train_classifier(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    *,
    stage: str = "lung_filter",
    net: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    start: Path | None = None,
    imagenet: bool = True,
    base: Bundle | None = None,
    config: Any = None,
    plan: Plan = Plan(steps=2000, batch=16, learning_rate=1e-3),  # noqa: B008  # frozen
    loss: LossConfig = LossConfig(),  # noqa: B008  # frozen
    slices: SliceConfig | None = None,
    most: int = 60,
    dataset: str | None = None,
    fusion: bool = True,
    resume: bool = False,
    watch: Watch | None = None,
    say: Say = lambda _: None,
) -> Bundle:
    """Train the network of a classifier stage.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads.
        validation: Folders of cases of other patients, to choose the best weights by; may be empty.
        out: The run folder; must be new.
        stage: A key of `classifiers.STAGES`.
        net: A key of `classifiers.NETWORKS`; the stage's usual one by default.
        arguments: The network's.
        start: Weights (safetensors) to begin with.
        imagenet: Begin the EfficientNet with ImageNet weights, where no `start` is given.
        base: The bundle that supplies the other stages.
        config: How studies are cut; the stage's default by default.
        plan: How long and how hard.
        loss: What is learned from.
        slices: Which slices to draw and how to change them.
        most: Slices of one case at most.
        dataset: Layout of the folders, a name of `LAYOUTS`; found by looking by default.
        fusion: Whether to fit the fusion afterwards.
        resume: Go on with the run in `out`, which was stopped; asked for the same, it ends in the same.
        watch: Told how it goes.
        say: Told what a person should know.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: The stage is unknown, a patient stands on both sides of the split, the run folder is not new, or the
            network does not answer the stage's questions.
    """
    if stage not in STAGES:
        raise UsageError(f"no classifier stage {stage!r}; {nearest(stage, STAGES)}", "E_UNKNOWN_STAGE")
    kind: Any = STAGES[stage]
    config, slices, arguments = config or kind.Config(), slices or SLICES[stage], dict(arguments or {})
    net = net or kind.network
    learned: Learned = kind(config=config)
    if not resume:
        refuse_used(out)
    seeded(plan)
    network = build(NETWORKS, net, arguments)
    refuse_misfit(network, net, (3, config.size, config.size), len(QUESTIONS[stage]))
    if resume:
        pass  # what it began with is in its state
    elif start is not None:
        start_from(network, start)
    elif imagenet and hasattr(network, "start_from_imagenet"):
        network.start_from_imagenet()
    refuse_no_room(out, network)
    learn = slices_of((c for folder in data for c in open_cases(folder, dataset)), learned, slices, most, plan.seed)
    held = [
        plane
        for folder in validation
        for case in open_cases(folder, dataset)
        for plane in collect(with_lung_slices(case), learned, slices.margin, most)
    ]
    refuse_shared({plane.patient for plane in learn}, {plane.patient for plane in held})
    drawn = SliceSampler(learn, learned, class_of, slices, gas(config.pixel_mm) if stage == "lung_filter" else None)
    refuse_one_class(drawn.shares)
    asked = {"stage": stage, "net": net, "arguments": arguments, "config": config, "plan": plan, "loss": loss}
    asked["slices"] = slices
    counts = {"slices": len(learn), "validation_slices": len(held)}
    run = Run(out, {**sources(data, validation, dataset, start, base), **asked, **counts}, resume, watch)
    criterion = loss_of(loss)
    judge = SliceEvaluator(held, learned, QUESTIONS[stage], slices.margin, plan.workers, criterion) if held else None
    trained = fit(network, drawn, criterion, plan, run, judge)
    if judge is not None:
        run.show(judge.examples(trained))
    figures = run.figures("best")
    shape = (3, config.size, config.size)
    member = Network.of(net, arguments, trained, shape, {k: round(v, 4) for k, v in figures.items()})
    whole = (base or Bundle(name=out.name)).with_stage(StageEntry(stage, config, (member,)))
    return finish(whole, out, validation, dataset, fusion, say)


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
