"""Fitting the fusion of a bundle: on validation exams, for the whole cascade and for each subset of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from cascade.bundle import Bundle, inputs_of, save, stage_classes, subset_name
from cascade.core.findings import Findings
from cascade.core.progress import Progress
from cascade.core.stage import Learned
from cascade.core.study import Study
from cascade.datasets import open_cases
from cascade.fusion import FusionParameters, fit_measured
from cascade.fusion.fit import is_judged, measure_all
from cascade.fusion.measured import Measured
from cascade.runtime import choose


@dataclass(frozen=True, eq=False)
class ExamSeen:
    """What the stages said of one exam, small.

    Attributes:
        patient: Whose it is.
        by_voxels: What the exam gives to the fit (at each voxel threshold), by the stages that scored its voxels.
    """

    patient: str
    by_voxels: Mapping[tuple[str, ...], list[Measured]]


def train_fusion(
    data: Sequence[Path],
    bundle: Bundle,
    out: Path,
    *,
    dataset: str | None = None,
    assume_negative: bool = False,
    device: str = "auto",
    runtime: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Fit coefficients, calibration and operating points.

    Stages that score slices answer each exam once, those that score voxels once in each combination of them.

    Args:
        data: Folders of validation exams, of patients that no network learned from; those of which nobody says whether
            there is an embolism are left out.
        bundle: The stages.
        out: Folder of the bundle with its fusion; may be the bundle's own.
        dataset: Layout of the folders, a name of `LAYOUTS`; found by looking by default.
        assume_negative: Plain scans show no embolism; they are left out otherwise.
        device: Where the networks run.
        runtime: What runs them.
        progress: Called with what is done.

    Returns:
        The bundle as saved in `out`.

    Raises:
        UsageError: There are too few exams with or without embolism.
    """
    choice = choose(device, runtime)
    stages = bundle.open(choice.runtime, choice.device)
    seen: list[ExamSeen] = []
    for case in (case for root in data for case in open_cases(root, dataset, assume_negative)):
        if is_judged(case.truth):
            seen.append(exam_seen(stages, case.study, case.truth, case.patient))
            if progress is not None:
                progress("exams", len(seen), len(seen))
    named = f"{', '.join(root.resolve().name for root in data)}"
    return save(bundle.with_fusion(fit_subsets(seen, bundle.names, named)), out)


def exam_seen(stages: Sequence[Learned], study: Study, truth: Findings, patient: str) -> ExamSeen:
    """Let the stages look at an exam: those that score voxels in every combination, all others once."""
    findings = Findings(study.grid)
    voxels = [stage for stage in stages if scores_voxels(stage.name)]
    for stage in stages:
        if stage not in voxels:
            findings = stage(study, findings)
    by_voxels: dict[tuple[str, ...], list[Measured]] = {(): measure_all((study, findings, truth))}
    for count in range(1, len(voxels) + 1):
        for some in combinations(voxels, count):
            answer = findings
            for stage in some:
                answer = stage(study, answer)
            by_voxels[tuple(stage.name for stage in some)] = measure_all((study, answer, truth))
    return ExamSeen(patient, by_voxels)


def scores_voxels(stage: str) -> bool:
    """Whether a learned stage says which voxels are embolus."""
    return stage_classes()[stage].scores == "voxels"


def fit_subsets(seen: Sequence[ExamSeen], stages: Sequence[str], measured_on: str) -> dict[str, FusionParameters]:
    """Fusions by subset name, for every subset of the stages that scores slices or voxels.

    A subset that cannot tell exams apart has none, and abstains.
    """
    patients = [exam.patient for exam in seen]
    fitted = {}
    for subset in (tuple(stages), *subsets(stages)):
        voxels = tuple(name for name in subset if scores_voxels(name))
        exams = [exam.by_voxels[voxels] for exam in seen]
        one = fit_measured(exams, inputs_of(subset), patients, measured_on)
        if one.fitted or len(subset) == len(stages):
            fitted[subset_name(subset)] = one
    return fitted


def subsets(stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every smaller set of stages, large ones first, that supplies the fusion with an input."""
    for count in range(len(stages) - 1, 0, -1):
        for subset in combinations(stages, count):
            if inputs_of(subset):
                yield subset
