"""Training a segmenter: data in, a run folder out, with a bundle that runs at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.errors import InputError, UsageError
from cascade.core.registry import build, refuse_unknown
from cascade.datasets import entries, refuse_unknown_layout
from cascade.datasets.cache import prepared_case
from cascade.datasets.case import Case, thin
from cascade.training.arguments import run_arguments
from cascade.training.augment import AugmentConfig
from cascade.training.crops import CropConfig, CropEvaluator
from cascade.training.distributed import world
from cascade.training.finish import Say, finish
from cascade.training.imbalance import ImbalanceConfig, sampler
from cascade.training.imbalance.arteries import found_arteries
from cascade.training.imbalance.lungs import cut_to_lungs
from cascade.training.imbalance.ratio import target_ratio
from cascade.training.loop import fit
from cascade.training.losses import SEGMENTATION, LossConfig, loss_of
from cascade.training.plan import Plan
from cascade.training.precision import decided
from cascade.training.run import Run, Watch, refuse_no_room, refuse_used
from cascade.training.scans import answers_of, means, row_of
from cascade.training.split import refuse_shared
from cascade.training.start import seeded, start_from
from cascade.training.trial import refuse_misfit
from segmenters import NETWORKS
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble

ANSWERS = 2
"""What a segmenter answers: embolus and artery."""

_ALIKE = 0.05
"""Pixels that differ from the stage's by so much of it are the stage's."""


@dataclass(frozen=True, kw_only=True)
class SegmenterTraining:
    """How a network of the embolus ensemble is trained.

    Attributes:
        net: Name of the network, one that --help lists (a key of `segmenters.NETWORKS`).
        arguments: The network's own, by name.
        start: Weights (safetensors) to begin with; random ones by default.
        add_member: Keep the bundle's network of the same name and add this one to the ensemble; it is replaced
            otherwise.
        stage: How studies are cut for the networks.
        plan: How long and how hard to train.
        loss: What is learned from; embolus and artery are its outputs.
        crops: Which crops to draw.
        augment: How to change them.
        imbalance: What is done about emboli being rare.
        dataset: Layout of the data sets; found by looking by default.
        assume_negative: Whether plain scans, of which nobody says anything, are taken to show no embolism.
        fusion: Whether to fit the fusion at the end, where there are validation data and the bundle is whole.
    """

    net: str = "attention_resunet"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    add_member: bool = False
    stage: EmbolusConfig = field(default_factory=EmbolusConfig)
    plan: Plan = field(default_factory=Plan)
    loss: LossConfig = SEGMENTATION
    crops: CropConfig = field(default_factory=CropConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    imbalance: ImbalanceConfig = field(default_factory=ImbalanceConfig)
    dataset: str | None = None
    assume_negative: bool = False
    fusion: bool = True

    def __post_init__(self) -> None:
        """Refuse names that are on no list."""
        refuse_unknown("network", self.net, NETWORKS, "E_UNKNOWN_NETWORK")
        refuse_unknown_layout(self.dataset)


def train_segmenter(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    settings: SegmenterTraining | None = None,
    *,
    base: Bundle | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    say: Say = lambda _: None,
) -> Bundle:
    """Train one network of the segmentation stage.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads.
        validation: Folders of cases of other patients, to choose the best weights by; may be empty.
        out: The run folder; must be new.
        settings: How to train; the defaults of `SegmenterTraining` where they are not given.
        base: The bundle that supplies the other stages and the stage's other networks.
        resume: Go on with the run in `out`, which was stopped; with the same settings it ends in the same.
        watch: Called with how it goes.
        say: Called with what a person should know.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A patient stands on both sides of the split, the run folder is not new (or, to resume, no run), or
            the network does not take what the stage cuts, or the bundle's other networks learned from other views.
        InputError: No case says anything of its voxels.
    """
    settings = settings or SegmenterTraining()
    if not resume:
        refuse_used(out)
    base = base or Bundle(name=out.name)
    network, others = network_of(settings, out, resume), others_of(settings, base)
    stage, criterion = settings.stage, loss_of(settings.loss)
    learn, held = (
        prepared(folders, stage, settings.imbalance.lungs, settings.dataset, settings.assume_negative)
        for folders in (data, validation)
    )
    refuse_shared({case.patient for case in learn}, {case.patient for case in held})
    learn, held = outlined(learn, "data", say), outlined(held, "validation", say) if held else []
    ensemble = EmbolusEnsemble(config=stage)
    arteries = found_arteries(learn, base, say) if settings.imbalance.replicate else None
    drawn = sampler(learn, ensemble, settings.crops, settings.augment, settings.imbalance, arteries)
    plan = decided(settings.plan, say)
    counts: dict[str, float] = {"cases": len(learn), "validation_cases": len(held)}
    counts["target_ratio"] = float(np.mean([target_ratio(case) for case in learn]))
    run = Run(out, run_arguments(replace(settings, plan=plan), data, validation, base, counts), resume, watch)
    judge = CropEvaluator(held, ensemble, workers=plan.workers, criterion=criterion) if held else None
    trained = fit(network, drawn, criterion, plan, run, judge)
    figures = run.figures("best")
    if judge is not None and world().is_main:
        trained = trained.to(world().device)
        run.show(judge.examples(trained))
        judged = [case for case in held if case.truth.embolus is not None]
        rows = [row_of(case, answer) for case, answer in answers_of(trained, stage, judged)]
        run.table("scans.csv", rows)
        figures |= means(rows)
    shape = (stage.slices, *stage.tile)
    rounded = {name: round(value, 4) for name, value in figures.items()}
    member = Network.of(settings.net, settings.arguments, trained, shape, rounded)
    bundle = base.with_stage(StageEntry("embolus", stage, (*others, member)))
    return finish(bundle, out, validation, settings.dataset, settings.fusion, say, settings.assume_negative)


def network_of(settings: SegmenterTraining, out: Path, resume: bool) -> nn.Module:
    """The network with the weights that it begins with; one that is resumed has them in its state.

    Raises:
        UsageError: It does not take what the stage cuts, or its start weights.
        OutputError: There is no room for the run.
    """
    seeded(settings.plan)
    network: nn.Module = build(NETWORKS, settings.net, settings.arguments)
    refuse_misfit(network, settings.net, (settings.stage.slices, *settings.crops.size), ANSWERS)
    if settings.start is not None and not resume:
        start_from(network, settings.start)
    refuse_no_room(out, network)
    return network


def others_of(settings: SegmenterTraining, base: Bundle) -> list[Network]:
    """The bundle's networks that stay in the ensemble.

    Raises:
        UsageError: One learned from other views than the settings cut.
    """
    others = []
    for entry in (one for one in base.stages if one.stage == "embolus"):
        for network in entry.networks:
            if settings.add_member or network.name != settings.net:
                refuse_other_views(entry.config, settings.stage, network.name)
                size = (settings.stage.slices, *settings.crops.size)
                refuse_misfit(network.module("embolus"), network.name, size, ANSWERS)
                others.append(network)
    return others


def refuse_other_views(theirs: Any, ours: EmbolusConfig, name: str) -> None:
    """Refuse an ensemble in which a network would see other views than it learned from.

    Raises:
        UsageError: E_STAGE, the sentence names the setting and both values.
    """
    for setting in ("pixel_mm", "slice_mm", "window"):
        was, will = getattr(theirs, setting), getattr(ours, setting)
        if was != will:
            raise UsageError(
                f"network {name!r} of the bundle learned with stage.{setting}={was} and would see {will}; "
                f"set stage.{setting}={was}, or give a bundle without it",
                "E_STAGE",
            )


def prepared(
    folders: Iterable[Path],
    stage: EmbolusConfig,
    lungs: bool = False,
    dataset: str | None = None,
    assume_negative: bool = False,
) -> list[Case]:
    """The cases of some folders at the stage's resolution, around the lungs; nothing around them with `lungs`."""
    one_plane = EmbolusEnsemble(config=replace(stage, slices=1))

    def prepare(case: Case) -> Case:
        near = cut_to_lungs(case) if lungs else case
        as_cut = all(abs(mm / stage.pixel_mm - 1) <= _ALIKE for mm in case.study.grid.spacing[1:])
        return near if as_cut else thin(near, one_plane, stage.pixel_mm, stage.stride_mm)

    # One plane is cut at a time: how many a network sees, in what tiles and window, makes no other case.
    settings = {name: getattr(stage, name) for name in ("pixel_mm", "slice_mm", "stride_mm")} | {"lungs": lungs}
    found = (entry for folder in folders for entry in entries(folder, dataset, assume_negative))
    return [prepared_case(entry, prepare, settings) for entry in found]


def outlined(cases: Sequence[Case], side: str, say: Say) -> list[Case]:
    """The cases that say something of their voxels: of all others, nothing but NaN would be drawn.

    Args:
        cases: Of one side of the split.
        side: Its name.
        say: Called with how many are left out.

    Raises:
        InputError: None does.
    """
    known = [case for case in cases if case.truth.embolus is not None or case.truth.arteries is not None]
    refuse_unoutlined(len(known), len(cases), side, say)
    return known


def refuse_unoutlined(known: int, count: int, side: str, say: Say) -> None:
    """Say how many cases of one side of the split say nothing of their voxels, and refuse it where all do.

    Raises:
        InputError: All do.
    """
    if not known:
        raise InputError(
            "E_NO_MASK",
            f"none of the {count} cases of {side} says where an embolus or an artery is, nor that there is no embolus; "
            "give a data set with masks, say --assume-negative of plain scans that show none, or train a classifier",
        )
    if known < count:
        say(f"{count - known} of {count} cases of {side} are left out: they do not say which voxels are embolus")
