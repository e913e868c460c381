"""What an exam gives to the fit of the fusion: a few numbers for each candidate, so that many exams fit into memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings, Quality
from cascade.core.study import Study
from cascade.core.truth import is_positive
from cascade.fusion.candidates import Candidates, find
from cascade.fusion.gates import artery_hu, noise
from cascade.fusion.logistic import Values
from cascade.fusion.parameters import LESION_INPUTS, LesionModel

Case = tuple[Study | None, Findings, Findings]
"""A study (None where its HU are not at hand), the findings after the stages, and the truth."""

OUTLINES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Shares of a candidate's highest probability that its outline is tried at."""

_OVERLAP = 0.05  # share of a component that must be embolus for it to count as one


@dataclass(frozen=True, eq=False)
class Measured:
    """What an exam gives to the fit.

    Attributes:
        findings: Without voxels.
        positive: Truth.
        inputs: Of the lesion model, `[n, k]`; empty where there is no candidate, None where nobody looked.
        expected_mm3: Volumes of the candidates by their voxels' probabilities, `[n]`.
        drawn_mm3: Volumes as they are drawn at each of `OUTLINES`, `[n, outlines]`.
        true: Which candidates are emboli, `[n]`; None where the exam is positive and nobody outlined its emboli.
        hit_mm3: Volume of embolus in each candidate as it is drawn, `[n, outlines]`; None likewise.
        truth_mm3: Volume of embolus in all.
    """

    findings: Findings
    positive: bool
    inputs: Values | None
    expected_mm3: Values
    drawn_mm3: Values
    true: NDArray[np.bool_] | None
    hit_mm3: Values | None = None
    truth_mm3: float = 0.0

    def unseen(self) -> Measured:
        """The same exam where nobody looked for emboli."""
        return replace(self, inputs=None)


def measure(case: Case, lesions: LesionModel, quality: Quality | None = None) -> Measured:
    """What one exam gives, at a grow threshold; its `quality` is measured where it is not given."""
    study, findings, truth = case
    candidates = find(findings, lesions, study)
    small = replace(findings, embolus=None, arteries=None, std=None, labels=None, lesions=None, reference=None)
    if candidates is None:
        nothing = np.zeros((0, len(OUTLINES)))
        return Measured(small, is_positive(truth), None, np.zeros(0), nothing, np.zeros(0, bool), nothing)
    table = candidates.inputs(quality or quality_of(study, findings))
    inputs = np.stack([table[name] for name in LESION_INPUTS], axis=1)
    everything = np.ones(candidates.labels.shape, bool)
    drawn = _drawn(candidates, findings, everything)
    if truth.embolus is None and truth.labels is None and is_positive(truth):
        return Measured(small, True, inputs, candidates.expected_mm3, drawn, None)
    mask = truth.mask() if truth.embolus is not None else truth.lesion_mask() > 0
    hit = _drawn(candidates, findings, mask[candidates.box.slices])
    voxel_mm3 = truth.grid.voxel_mm3
    true = hit[:, 0] >= np.maximum(_OVERLAP * candidates.volume_mm3, voxel_mm3)
    volume = float(np.count_nonzero(mask) * voxel_mm3)
    return Measured(small, is_positive(truth), inputs, candidates.expected_mm3, drawn, true, hit, volume)


def quality_of(study: Study | None, findings: Findings) -> Quality:
    """What the gates measure of an exam that candidates are held against."""
    if study is None or findings.embolus is None:
        return Quality()
    return Quality(contrast_hu=artery_hu(study, findings), contrast_source="arteries", noise_hu=noise(study))


def _drawn(candidates: Candidates, findings: Findings, where: NDArray[np.bool_]) -> Values:
    """Volume in mm3 of each candidate at each outline, as far as it lies in a mask: `[n, outlines]`."""
    assert findings.embolus is not None
    inside = np.flatnonzero((candidates.labels > 0) & where)
    number = candidates.labels.ravel()[inside].astype(np.int64) - 1
    share: NDArray[Any] = findings.embolus.values.ravel()[inside] / 255 / candidates.peak[number]
    count = len(candidates)
    columns = [np.bincount(number[share >= least], minlength=count) for least in OUTLINES]
    return np.asarray(np.stack(columns, axis=1) * findings.grid.voxel_mm3, dtype=np.float64)
