"""Training a segmenter: data in, a run folder out, with a bundle that runs at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cascade.bundle import Bundle, Network, StageEntry, save
from cascade.errors import UsageError
from cascade.registry import build
from cascade.training.augment import AugmentConfig
from cascade.training.cache import prepared_case
from cascade.training.case import Case, thin
from cascade.training.crops import CropConfig, Crops, Judge
from cascade.training.datasets import entries
from cascade.training.loop import Plan, fit, seeded, start_from
from cascade.training.losses import embolus_and_artery
from cascade.training.run import Run, sources
from segmenters import NETWORKS
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble


def train_segmenter(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    *,
    net: str = "attention_resunet",
    arguments: Mapping[str, Any] | None = None,
    start: Path | None = None,
    base: Bundle | None = None,
    stage: EmbolusConfig = EmbolusConfig(),  # noqa: B008  # frozen
    plan: Plan = Plan(),  # noqa: B008  # frozen
    crops: CropConfig = CropConfig(),  # noqa: B008  # frozen
    augment: AugmentConfig = AugmentConfig(),  # noqa: B008  # frozen
    resume: bool = False,
) -> Bundle:
    """Train one network of the segmentation stage.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads.
        validation: Folders of cases of other patients, to choose the best weights by; may be empty.
        out: The run folder; must be new.
        net: A key of `segmenters.NETWORKS`.
        arguments: The network's.
        start: Weights (safetensors) to begin with.
        base: The bundle that supplies the other stages and the stage's other networks.
        stage: How studies are cut.
        plan: How long and how hard.
        crops: Which crops to draw.
        augment: How to change them.
        resume: Go on with the run in `out`, which was stopped; asked for the same, it ends in the same.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A patient stands on both sides of the split, or the run folder is not new (or, to resume, no run).
    """
    learn, held = (prepared(folders, stage) for folders in (data, validation))
    refuse_shared_patients(learn, held)
    arguments = dict(arguments or {})
    seeded(plan)
    network = build(NETWORKS, net, arguments)
    if start is not None:
        start_from(network, start)
    asked = {"net": net, "arguments": arguments, "stage": stage, "plan": plan, "crops": crops, "augment": augment}
    counts = {"cases": len(learn), "validation_cases": len(held)}
    run = Run(out, {**sources(data, validation, start, base), **asked, **counts}, resume)
    ensemble = EmbolusEnsemble(config=stage)
    judge = Judge(held, ensemble, workers=plan.workers) if held else None
    trained = fit(network, Crops(learn, ensemble, crops, augment), embolus_and_artery, plan, run, judge)
    figures = run.figures("best")
    shape = (stage.slices, *stage.tile)
    member = Network.of(net, arguments, trained, shape, {k: round(v, 4) for k, v in figures.items()})
    base = base or Bundle(name=out.name)
    others = [n for e in base.stages if e.stage == "embolus" for n in e.networks if n.name != net]
    return save(base.with_stage(StageEntry("embolus", stage, (*others, member))), out / "bundle")


def prepared(folders: Iterable[Path], stage: EmbolusConfig) -> list[Case]:
    """The cases of some folders at the stage's resolution."""
    one_plane = EmbolusEnsemble(config=replace(stage, slices=1))

    def prepare(case: Case) -> Case:
        fine = min(case.study.grid.spacing[1:]) < 0.95 * stage.pixel_mm
        return thin(case, one_plane, stage.pixel_mm, stage.stride_mm) if fine else case

    return [prepared_case(entry, prepare, stage) for folder in folders for entry in entries(folder)]


def refuse_shared_patients(learn: Sequence[Case], held: Sequence[Case]) -> None:
    """Patients are split, never studies.

    Raises:
        UsageError: One patient is in both.
    """
    shared = {case.patient for case in learn} & {case.patient for case in held}
    if shared:
        raise UsageError(
            f"{len(shared)} patients stand in training and validation data, among them {min(shared)!r}; "
            "move all studies of a patient to one side",
            "E_SPLIT",
        )
