"""Fitting the fusion of a bundle: on validation exams, for the whole cascade and for each subset of its stages."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from cascade.bundle import Bundle, inputs_of, save, subset_name
from cascade.core.findings import Findings
from cascade.core.progress import Progress
from cascade.core.study import Study
from cascade.datasets import open_cases
from cascade.fusion import FusionParameters, LesionModel, fit
from cascade.fusion.fit import fit_measured, is_judged, measure
from cascade.runtime import choose
from cascade.writing import load_findings
from cascade.writing import save as save_findings

STORED = ("json", "nifti", "probability")


class Exams(Sequence[tuple[Study | None, Findings, Findings]]):
    """Findings and truths, kept on disk: a few hundred megabytes each would not fit into memory together.

    Args:
        folder: To keep them in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.patients: list[str] = []

    def add(self, findings: Findings, truth: Findings, patient: str) -> None:
        """Keep one exam."""
        for name, one in (("found", findings), ("truth", truth)):
            save_findings(one, self.folder / f"{len(self)}" / name, STORED)
        self.patients.append(patient)

    def __len__(self) -> int:
        return len(self.patients)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # never sliced
        if not 0 <= index < len(self):
            raise IndexError(index)
        folder = self.folder / f"{index}"
        return None, load_findings(folder / "found"), load_findings(folder / "truth")


def train_fusion(
    data: Sequence[Path],
    bundle: Bundle,
    out: Path,
    *,
    dataset: str | None = None,
    device: str = "auto",
    runtime: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Fit coefficients, calibration and operating points.

    The stages answer each exam once, all of them together; a subset is fitted on what its stages said then.

    Args:
        data: Folders of validation exams, of patients that no network learned from; those of which nobody says whether
            there is an embolism are left out.
        bundle: The stages.
        out: Folder of the bundle with its fusion; may be the bundle's own.
        dataset: Layout of the folders, a name of `LAYOUTS`; found by looking by default.
        device: Where the networks run.
        runtime: What runs them.
        progress: Called with "exams" and how many are answered.

    Returns:
        The bundle as saved in `out`.

    Raises:
        UsageError: There are too few exams with or without embolism.
    """
    choice = choose(device, runtime)
    stages = bundle.open(choice.runtime, choice.device)
    with tempfile.TemporaryDirectory(prefix="cascade-fusion-") as folder:
        exams = Exams(Path(folder))
        for case in (case for root in data for case in open_cases(root, dataset)):
            if not is_judged(case.truth):
                continue
            findings = Findings(case.study.grid)
            for stage in stages:
                findings = stage(case.study, findings)
            exams.add(findings, case.truth, case.patient)
            if progress is not None:
                progress("exams", len(exams), len(exams))
        named = f"{', '.join(root.resolve().name for root in data)}"
        fitted = fit_subsets(exams, bundle.names, named)
    return save(bundle.with_fusion(fitted), out)


def fit_subsets(exams: Exams, stages: Sequence[str], measured_on: str) -> dict[str, FusionParameters]:
    """Fusions by subset name, for every subset of the stages that scores slices or voxels."""
    whole = fit(exams, inputs_of(stages), exams.patients, measured_on)
    lesions = replace(LesionModel(), grow=whole.lesions.grow, seed=whole.lesions.seed)
    measured = [measure(exam, lesions) for exam in exams]
    fitted = {subset_name(stages): whole}
    for subset in subsets(stages):
        inputs = inputs_of(subset)
        # Without a stage that scores voxels there are no candidates to look at.
        seen = measured if "lesion" in inputs else [replace(m, inputs=None) for m in measured]
        fitted[subset_name(subset)] = fit_measured(seen, lesions, inputs, exams.patients, measured_on)
    return fitted


def subsets(stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every smaller set of stages, large ones first, that supplies the fusion with an input."""
    for count in range(len(stages) - 1, 0, -1):
        for subset in combinations(stages, count):
            if inputs_of(subset):
                yield subset
