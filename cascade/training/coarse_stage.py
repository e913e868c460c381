"""Training the coarse stage: data of any layout in, a run folder out, with a bundle that runs at once."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.errors import UsageError
from cascade.core.registry import build, refuse_unknown
from cascade.datasets import Entry, entries, refuse_unknown_layout
from cascade.datasets.case import Case
from cascade.training.arguments import run_arguments
from cascade.training.coarse import LONG, keep
from cascade.training.distributed import world
from cascade.training.finish import Say, finish
from cascade.training.loop import fit
from cascade.training.losses import SEGMENTATION, LossConfig, loss_of
from cascade.training.packed import packed_files
from cascade.training.plan import Plan
from cascade.training.precision import decided
from cascade.training.run import CASES, Run, Watch, refuse_no_room, refuse_used, write_table
from cascade.training.segmenter import ANSWERS, refuse_unoutlined
from cascade.training.split import refuse_shared
from cascade.training.start import seeded, start_from
from cascade.training.trial import refuse_misfit
from cascade.training.volume_change import VolumeChange
from cascade.training.volume_evaluation import VolumeEvaluator
from cascade.training.volumes import VolumeCrops, VolumeSampler
from segmenters.coarse import NETWORKS, CoarseConfig, CoarseEnsemble

WINDOWS = 2
LEARNED = "cases.csv"
"""Of a run: the cases that it ever learned from."""


@dataclass(frozen=True, kw_only=True)
class CoarseTraining:
    """How a network of the coarse stage is trained.

    Attributes:
        net: Name of the network, one that --help lists (a key of `segmenters.coarse.NETWORKS`).
        arguments: The network's own, by name.
        start: Weights (safetensors) to begin with; random ones by default.
        add_member: Keep the bundle's network of the same name and add this one to the stage; it is replaced otherwise.
        stage: How studies are cut for the networks; its lattice is that of the packed cases, too.
        plan: How long and how hard to train.
        loss: What is learned from; embolus and artery are its outputs.
        crops: Which crops to draw.
        change: How to change them.
        dataset: Layout of the data sets; found by looking by default.
        assume_negative: Whether plain scans, of which nobody says anything, are taken to show no embolism.
        fusion: Whether to fit the fusion at the end, where there are validation data and the bundle is whole.
    """

    net: str = CoarseEnsemble.network
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    add_member: bool = False
    stage: CoarseConfig = field(default_factory=CoarseConfig)
    plan: Plan = LONG
    loss: LossConfig = SEGMENTATION
    crops: VolumeCrops = field(default_factory=VolumeCrops)
    change: VolumeChange = field(default_factory=VolumeChange)
    dataset: str | None = None
    assume_negative: bool = False
    fusion: bool = True

    def __post_init__(self) -> None:
        """Refuse names that are on no list."""
        refuse_unknown("network", self.net, NETWORKS, "E_UNKNOWN_NETWORK")
        refuse_unknown_layout(self.dataset)


def train_coarse_stage(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    settings: CoarseTraining | None = None,
    *,
    base: Bundle | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    say: Say = lambda _: None,
) -> Bundle:
    """Train one network of the coarse stage.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads; a run that is resumed may have
            other ones, and goes on with those.
        validation: Folders of cases of other patients, to choose the best weights by; may be empty.
        out: The run folder; must be new, or hold nothing but the packed cases of a start that was stopped.
        settings: How to train.
        base: The bundle that supplies the other stages and the stage's other networks.
        resume: Go on with the run in `out`, which was stopped, or has ended (`Plan.goes_on`).
        watch: Called with how it goes.
        say: Called with what a person should know.

    Returns:
        The bundle as saved in `out/bundle`; the network alone lies in `out` as `weights.safetensors`.

    Raises:
        UsageError: A patient stands on both sides of the split, the run folder is not new (or, to resume, no run), or
            the network does not take what is cut, or the bundle's other networks learned on another lattice.
        InputError: No case says anything of its voxels, or none is of a kind that is drawn.
    """
    settings = settings or CoarseTraining()
    if not resume:
        refuse_used(out)
    base = base or Bundle(name=out.name)
    network, others = network_of(settings, out, resume), others_of(settings, base)
    sides = [entries_of(folders, settings) for folders in (data, validation)]
    before = learned_before(out) if resume else []
    refuse_shared(patients_of(sides[0]) | {row["patient"] for row in before}, patients_of(sides[1]))
    learn, held = (packed_files(side, settings.stage.step_mm, out / CASES) for side in sides)
    learn, held = known(learn, "data", say), known(held, "validation", say) if held else []
    sampler = VolumeSampler(learn, CoarseEnsemble(config=settings.stage).preprocess, settings.crops, settings.change)
    judge = VolumeEvaluator(held, settings.stage) if held else None
    plan, counts = decided(settings.plan, say), {"cases": len(learn), "validation_cases": len(held)}
    run = Run(out, run_arguments(replace(settings, plan=plan), data, validation, base, counts), resume, watch)
    if world().is_main:
        write_table(out / LEARNED, with_learned(before, sides[0]))
    trained = fit(network, sampler, loss_of(settings.loss), plan, run, judge)
    if judge is not None and world().is_main:
        run.show(judge.examples(trained.to(world().device)))
    figures = {name: round(value, 4) for name, value in run.figures("best").items()}
    member = Network.of(settings.net, settings.arguments, trained, (2, *settings.stage.block), figures)
    if world().is_main:
        keep(trained, out / "weights.safetensors", settings.net, member.arguments)
    bundle = base.with_stage(StageEntry("coarse", settings.stage, (*others, member)))
    return finish(bundle, out, validation, settings.dataset, settings.fusion, say, settings.assume_negative)


def network_of(settings: CoarseTraining, out: Path, resume: bool) -> nn.Module:
    """The network with the weights that it begins with; one that is resumed has them in its state.

    Raises:
        UsageError: It does not take crops of the size, or its start weights.
        OutputError: There is no room for the run.
    """
    seeded(settings.plan)
    network: nn.Module = build(NETWORKS, settings.net, settings.arguments)
    refuse_misfit(network, settings.net, (WINDOWS, *settings.crops.size), ANSWERS)
    if settings.start is not None and not resume:
        start_from(network, settings.start)
    refuse_no_room(out, network)
    return network


def others_of(settings: CoarseTraining, base: Bundle) -> list[Network]:
    """The bundle's networks that stay in the stage.

    Raises:
        UsageError: They learned on another lattice than the settings cut.
    """
    entry = next((one for one in base.stages if one.stage == "coarse"), None)
    networks = () if entry is None else entry.networks
    others = [one for one in networks if settings.add_member or one.name != settings.net]
    if others and entry is not None and entry.config.step_mm != settings.stage.step_mm:
        was, will = entry.config.step_mm, settings.stage.step_mm
        raise UsageError(
            f"network {others[0].name!r} of the bundle learned with stage.step_mm={was} and would see {will}; "
            f"set stage.step_mm={was}, or give a bundle without it",
            "E_STAGE",
        )
    return others


def known(files: Sequence[Path], side: str, say: Say) -> list[Path]:
    """The packed cases that say something of their voxels: of all others, nothing but NaN would be drawn.

    Raises:
        InputError: None does.
    """
    truths = [Case.load(path).truth for path in files]
    said = [one.embolus is not None or one.arteries is not None for one in truths]
    refuse_unoutlined(sum(said), len(files), side, say)
    return [path for path, it_is in zip(files, said, strict=True) if it_is]


def entries_of(folders: Sequence[Path], settings: CoarseTraining) -> list[Entry]:
    """The cases of some folders, before they are opened."""
    return [one for folder in folders for one in entries(folder, settings.dataset, settings.assume_negative)]


def patients_of(found: Sequence[Entry]) -> set[str]:
    """Whose cases these are."""
    return {one.patient for one in found}


def learned_before(run: Path) -> list[dict[str, str]]:
    """The rows of a run's table of what it ever learned from: case, patient, file."""
    if not (run / LEARNED).is_file():
        return []
    with (run / LEARNED).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def with_learned(before: Sequence[Mapping[str, str]], found: Sequence[Entry]) -> list[Mapping[str, str]]:
    """The table with cases that it did not hold yet."""
    rows = {row["file"]: row for row in before}
    rows |= {str(one.files[0]): {"case": one.name, "patient": one.patient, "file": str(one.files[0])} for one in found}
    return list(rows.values())
