"""Fitting the fusion on exams whose truth is known: thresholds, lesion model, exam model, calibration, points.

Everything that a figure is stated for was measured on exams that the models had not seen: both models are
cross-validated by patient, calibration and operating points come from those answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.core.truth import is_positive
from cascade.fusion.candidates import find, score
from cascade.fusion.logistic import Values, fit_monotone, folds, platt
from cascade.fusion.parameters import (
    LESION_INPUTS,
    Calibration,
    FusionParameters,
    LesionModel,
    OperatingPoint,
)
from cascade.fusion.stage import exam_inputs
from cascade.metrics.intervals import Figure, wilson
from cascade.metrics.lesions import FALSE_POSITIVE_MM3

Case = tuple[Study | None, Findings, Findings]
"""A study (not needed), the findings after the embolus stage, and the truth."""

LEAST_EXAMS = 5
SENSITIVITY = 0.95  # what rule_out aims at
SPECIFICITY = 0.95  # what rule_in aims at
FALSE_POSITIVES = 0.2
"""False positives an exam that may be kept as lesions; what is not kept still counts in the exam's probability."""
_OVERLAP = 0.05  # share of a component that must be embolus for it to count as one
_GROW = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True, eq=False)
class Measured:
    """What an exam gives to the fit; small, so that many exams fit into memory.

    Attributes:
        findings: Without voxels.
        positive: Truth.
        inputs: Of the lesion model, `[n, k]`; empty where there is no candidate, None where nobody looked.
        volume_mm3: Of the candidates, `[n]`.
        true: Which candidates are emboli, `[n]`; None where the exam is positive and nobody outlined its emboli.
        hit_mm3: Volume of embolus in each candidate, `[n]`; None likewise.
        truth_mm3: Volume of embolus in all.
    """

    findings: Findings
    positive: bool
    inputs: Values | None
    volume_mm3: Values
    true: NDArray[np.bool_] | None
    hit_mm3: Values | None = None
    truth_mm3: float = 0.0


def fit(
    cases: Sequence[Case],
    inputs: Sequence[str],
    patients: Sequence[str] | None = None,
    measured_on: str = "validation exams",
) -> FusionParameters:
    """Fit everything on the given exams.

    Args:
        cases: Read once, one at a time: a sequence that loads from disk will do.
        inputs: The exam model's; `cascade.bundle.inputs_of` names those that a set of stages gives.
        patients: Whose each exam is; None for a patient an exam.
        measured_on: What to say of the exams in the bundle.

    Raises:
        UsageError: There are too few exams with or without embolism.
    """
    models = [replace(LesionModel(), grow=grow, seed=0.0) for grow in _GROW]
    measured = [[measure(case, model) for model in models] for case in cases]
    _refuse_few([exam.positive for exam, *_ in measured])
    tables = list(zip(*measured, strict=True))
    values = [worth(exams, model, patients) for exams, model in zip(tables, models, strict=True)]
    # Of thresholds that are as good, the one nearest to one half: a hundredth of Dice is noise.
    best = min((i for i, value in enumerate(values) if value >= max(values) - 0.01), key=lambda i: abs(_GROW[i] - 0.5))
    return fit_measured(tables[best], models[best], inputs, patients, measured_on)


def measure(case: Case, lesions: LesionModel) -> Measured:
    """What one exam gives, at a grow threshold."""
    _, findings, truth = case
    candidates = find(findings, lesions)
    small = replace(findings, embolus=None, arteries=None, std=None, labels=None, lesions=None, reference=None)
    if candidates is None:
        return Measured(small, is_positive(truth), None, np.zeros(0), np.zeros(0, bool))
    table = candidates.inputs()
    inputs = np.stack([table[name] for name in LESION_INPUTS], axis=1)
    if truth.embolus is None and truth.labels is None and is_positive(truth):
        return Measured(small, True, inputs, candidates.volume_mm3, None)
    mask = truth.mask() if truth.embolus is not None else truth.lesion_mask() > 0
    hit = np.bincount(candidates.labels[mask[candidates.box.slices]], minlength=len(candidates) + 1)[1:]
    true, voxel_mm3 = hit >= np.maximum(_OVERLAP * candidates.voxels, 1), truth.grid.voxel_mm3
    volume = float(np.count_nonzero(mask) * voxel_mm3)
    return Measured(
        small, is_positive(truth), inputs, candidates.volume_mm3, true, np.asarray(hit * voxel_mm3, np.float64), volume
    )


def fit_measured(
    exams: Sequence[Measured],
    lesions: LesionModel,
    inputs: Sequence[str],
    patients: Sequence[str] | None = None,
    measured_on: str = "validation exams",
) -> FusionParameters:
    """Fit on exams that were measured before; another subset of inputs needs no second look at the voxels."""
    _refuse_few([exam.positive for exam in exams])
    y = np.array([exam.positive for exam in exams], dtype=np.float64)
    if not inputs:
        raise UsageError("the fusion has no input: no stage scores slices or voxels", "E_NO_INPUT")
    fold = folds([bool(v) for v in y], patients)
    unseen: Sequence[Values | None] = [None] * len(exams)
    if "lesion" in inputs:
        unseen = known = _unseen(exams, lesions, fold)
        lesions = _fit_lesions(exams, lesions)
        lesions = replace(lesions, threshold=kept_from(exams, known))
    x = np.array([_exam_row(exam, odds, inputs) for exam, odds in zip(exams, unseen, strict=True)])
    baselines = _baselines(x[y == 0])
    odds = np.zeros(len(exams))
    for k in np.unique(fold):
        intercept, weights = fit_monotone(x[fold != k] - baselines, y[fold != k])
        odds[fold == k] = intercept + np.nan_to_num(x[fold == k] - baselines) @ weights
    slope, offset = platt(odds, y)
    probability = expit(slope * odds + offset)
    intercept, weights = fit_monotone(x - baselines, y)
    note = f"{measured_on}: {int(y.sum())} with, {int(len(y) - y.sum())} without embolism, cross-validated by patient"
    return FusionParameters(
        inputs=tuple(inputs),
        coefficients={name: round(float(w), 6) for name, w in zip(inputs, weights, strict=True)},
        baselines={name: round(float(b), 6) for name, b in zip(inputs, baselines, strict=True)},
        intercept=round(intercept, 6),
        calibration=Calibration(round(slope, 6), round(offset, 6)),
        lesions=lesions,
        operating_points=operating_points(probability, y, note),
        fitted_on=note,
    )


def operating_points(probability: Values, y: Values, measured_on: str) -> dict[str, OperatingPoint]:
    """`rule_out` keeps 95 % sensitivity, `rule_in` 95 % specificity, `balanced` has the best sum of both.

    Where the exams are so well parted that the two would cross, they change places: what lies between them was
    not seen in validation, and is for review.
    """
    cuts = _cuts(probability)
    sensitivity = np.array([(probability[y > 0.5] >= c).mean() for c in cuts])
    specificity = np.array([(probability[y <= 0.5] < c).mean() for c in cuts])
    low = float(cuts[sensitivity >= SENSITIVITY].max())
    high = float(cuts[specificity >= SPECIFICITY].min())
    best = sensitivity + specificity
    middle = float(np.median(cuts[best >= best.max() - 1e-9]))
    low, high = min(low, high), max(low, high)
    middle = min(max(middle, low), high)
    return {
        name: _point(value, probability, y, measured_on)
        for name, value in (("rule_out", low), ("balanced", middle), ("rule_in", high))
    }


def is_judged(truth: Findings) -> bool:
    """Whether the truth says if there is an embolus: by its voxels, or by an exam that was not left open."""
    if truth.exam is not None and truth.exam.decision == "abstain":
        return False
    decided = truth.exam is not None and truth.exam.decision in ("positive", "negative")
    return decided or truth.embolus is not None or truth.labels is not None


def _cuts(probability: Values) -> Values:
    """Thresholds midway between neighbouring probabilities, and one beyond each end."""
    values = np.unique(probability)
    # Half-way to one is one itself, and not beyond, where something is that sure.
    above = max((values[-1] + 1) / 2, np.nextafter(values[-1], 2))
    return np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2, [above]])


def _point(threshold: float, probability: Values, y: Values, measured_on: str) -> OperatingPoint:
    threshold = round(threshold, 6)
    hits, with_it = int((probability[y > 0.5] >= threshold).sum()), int((y > 0.5).sum())
    clear, without = int((probability[y <= 0.5] < threshold).sum()), int((y <= 0.5).sum())
    interval = {"sensitivity": _rounded(wilson(hits, with_it)), "specificity": _rounded(wilson(clear, without))}
    return OperatingPoint(threshold, round(hits / with_it, 6), round(clear / without, 6), interval, measured_on)


def _rounded(share: Figure) -> tuple[float, float]:
    low, high = (0.0, 1.0) if share.low is None or share.high is None else (share.low, share.high)
    return round(low, 4), round(high, 4)


def _refuse_few(positive: Sequence[bool]) -> None:
    """Refuse exams that are too few to fit on.

    Raises:
        UsageError: They are.
    """
    if min(sum(positive), len(positive) - sum(positive)) < LEAST_EXAMS:
        raise UsageError(
            f"the fusion needs at least {LEAST_EXAMS} exams with and {LEAST_EXAMS} without embolism, "
            f"got {sum(positive)} and {len(positive) - sum(positive)}; add validation studies",
            "E_TOO_FEW_EXAMS",
        )


def worth(exams: Sequence[Measured], lesions: LesionModel, patients: Sequence[str] | None) -> float:
    """What a voxel threshold is worth: mean Dice, over exams with emboli, of the lesions that would be kept.

    Cross-validated by patient; 0 where no embolus is outlined.
    """
    unseen = _unseen(exams, lesions, folds([exam.positive for exam in exams], patients))
    least = kept_from(exams, unseen)
    dice = []
    for exam, odds in zip(exams, unseen, strict=True):
        if exam.hit_mm3 is not None and exam.truth_mm3:
            kept = expit(odds) >= least
            dice.append(2 * exam.hit_mm3[kept].sum() / (exam.volume_mm3[kept].sum() + exam.truth_mm3))
    return float(np.mean(dice)) if dice else 0.0


def kept_from(exams: Sequence[Measured], odds: Sequence[Values]) -> float:
    """The lowest probability at which no more than `FALSE_POSITIVES` an exam are kept.

    Args:
        exams: Measured at one voxel threshold; those whose emboli nobody outlined have no say.
        odds: Log-odds of each exam's candidates.
    """
    known = [
        (some, ~exam.true & (exam.volume_mm3 >= FALSE_POSITIVE_MM3))
        for some, exam in zip(odds, exams, strict=True)
        if exam.true is not None
    ]
    p = expit(np.concatenate([np.zeros(0), *[some for some, _ in known]]))
    false = np.concatenate([np.zeros(0, bool), *[false for _, false in known]])
    if not len(p):
        return LesionModel().threshold
    cuts = _cuts(p)
    false_positives = np.array([np.count_nonzero(false & (p >= cut)) for cut in cuts])
    return round(float(cuts[false_positives <= FALSE_POSITIVES * len(known)].min()), 6)


def _unseen(exams: Sequence[Measured], lesions: LesionModel, fold: NDArray[np.int64]) -> list[Values]:
    """Log-odds of each exam's candidates, by a lesion model that was fitted on other patients' exams."""
    unseen = [np.zeros(0)] * len(exams)
    for k in np.unique(fold):
        model = _fit_lesions([exam for exam, f in zip(exams, fold, strict=True) if f != k], lesions)
        for i in np.flatnonzero(fold == k).tolist():
            unseen[i] = _odds(model, exams[i])
    return unseen


def _fit_lesions(exams: Sequence[Measured], lesions: LesionModel) -> LesionModel:
    found = [(exam.inputs, exam.true) for exam in exams if exam.inputs is not None and exam.true is not None]
    if not any(len(true) for _, true in found):
        return lesions
    x = np.concatenate([inputs for inputs, _ in found])
    y = np.concatenate([true for _, true in found]).astype(np.float64)
    # Exams count alike, however many components they have.
    weight = np.concatenate([np.full(len(true), 1 / np.sqrt(max(len(true), 1))) for _, true in found])
    baselines = _baselines(x)
    intercept, weights = fit_monotone(x - baselines, y, weight=weight)
    return replace(
        lesions,
        intercept=round(intercept, 6),
        coefficients={name: round(float(w), 6) for name, w in zip(LESION_INPUTS, weights, strict=True)},
        baselines={name: round(float(b), 6) for name, b in zip(LESION_INPUTS, baselines, strict=True)},
    )


def _odds(model: LesionModel, exam: Measured) -> Values:
    if exam.inputs is None:
        return np.zeros(0)
    return score(model, {name: exam.inputs[:, i] for i, name in enumerate(LESION_INPUTS)}, len(exam.inputs))


def _exam_row(exam: Measured, odds: Values | None, inputs: Sequence[str]) -> list[float]:
    row = exam_inputs(FusionParameters(), exam.findings, None if exam.inputs is None else odds, exam.volume_mm3)
    return [row.get(name, float("nan")) for name in inputs]


def _baselines(x: Values) -> Values:
    """Mean of the known values of each column; 0 where none is."""
    known = np.isfinite(x)
    return np.asarray(np.where(known, x, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
