"""Fitting the fusion on exams whose truth is known: thresholds, lesion model, exam model, calibration, points.

Everything that a figure is stated for was measured on exams that the models had not seen: both models are
cross-validated by patient, calibration and operating points come from those answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.fusion.candidates import score
from cascade.fusion.logistic import Values, fit_monotone, folds, platt
from cascade.fusion.measured import OUTLINES, Case, Measured, measure, quality_of
from cascade.fusion.parameters import (
    LESION_INPUTS,
    VOXEL_INPUTS,
    Calibration,
    FusionParameters,
    LesionModel,
    OperatingPoint,
)
from cascade.fusion.stage import exam_inputs
from cascade.metrics.intervals import Figure, wilson
from cascade.metrics.lesions import FALSE_POSITIVE_MM3

LEAST_EXAMS = 5
SENSITIVITY = 0.9  # what rule_out aims at
SPECIFICITY = 0.9  # what rule_in aims at
FALSE_POSITIVES = {"rule_out": 2.0, "balanced": 0.5, "rule_in": 0.1}
"""False positives an exam that may be kept as lesions at each operating point; what is not kept still counts in the
exam's probability."""
USUAL = "balanced"
"""The operating point whose lesions are named where none is asked for."""
GROW = (0.2, 0.3, 0.4, 0.5)
"""Voxel thresholds that candidates are sought at."""
_MODELS = [LesionModel(grow=grow, seed=0.0) for grow in GROW]


def fit(
    cases: Iterable[Case],
    inputs: Sequence[str],
    patients: Sequence[str] | None = None,
    measured_on: str = "validation exams",
) -> FusionParameters:
    """Fit everything on the given exams.

    Args:
        cases: Read once, one at a time.
        inputs: What the exam model may have; `cascade.bundle.inputs_of` names those that a set of stages gives.
        patients: Whose each exam is; None for a patient an exam.
        measured_on: What to say of the exams in the bundle.

    Raises:
        UsageError: There are too few exams with or without embolism.
    """
    return fit_measured([measure_all(case) for case in cases], inputs, patients, measured_on)


def measure_all(case: Case) -> list[Measured]:
    """What one exam gives at each voxel threshold of `GROW`."""
    quality = quality_of(*case[:2])
    return [measure(case, model, quality) for model in _MODELS]


def fit_measured(
    exams: Sequence[Sequence[Measured]],
    inputs: Sequence[str],
    patients: Sequence[str] | None = None,
    measured_on: str = "validation exams",
) -> FusionParameters:
    """Fit on exams that `measure_all` measured; another subset of inputs needs no second look at the voxels.

    An input that a stage's slices give stays only where it is worth something beside what the voxels say; where
    nothing is left that tells exams apart, the fusion has no inputs, and abstains.
    """
    y = np.array([exam[0].positive for exam in exams], dtype=np.float64)
    refuse_few(y)
    if not inputs:
        raise UsageError("the fusion has no input: no stage scores slices or voxels", "E_NO_INPUT")
    fold = folds([bool(v) for v in y], patients)
    chosen, lesions = [exam[0] for exam in exams], LesionModel()
    unseen: Sequence[Values | None] = [None] * len(exams)
    if "lesion" in inputs:
        chosen, lesions, unseen = fit_lesions(exams, fold)
    x = np.array([_exam_row(exam, odds, inputs) for exam, odds in zip(chosen, unseen, strict=True)])
    x = x - _baselines(x[y == 0])
    kept = earned(x, y, fold, inputs)
    baselines = _baselines(np.array([_exam_row(e, o, kept) for e, o in zip(chosen, unseen, strict=True)])[y == 0])
    x = x[:, [list(inputs).index(name) for name in kept]]
    odds = _unseen_exams(x, y, fold)
    slope, offset = platt(odds, y)
    probability = expit(slope * odds + offset)
    intercept, weights = fit_monotone(x, y)
    note = f"{measured_on}: {int(y.sum())} with, {int(len(y) - y.sum())} without embolism, cross-validated by patient"
    if not weights.any():
        return FusionParameters(lesions=lesions, fitted_on=note)
    return FusionParameters(
        inputs=tuple(kept),
        coefficients={name: round(float(w), 6) for name, w in zip(kept, weights, strict=True)},
        baselines={name: round(float(b), 6) for name, b in zip(kept, baselines, strict=True)},
        intercept=round(intercept, 6),
        calibration=Calibration(round(slope, 6), round(offset, 6)),
        lesions=lesions,
        operating_points=operating_points(probability, y, note),
        fitted_on=note,
    )


def earned(x: Values, y: Values, fold: NDArray[np.int64], inputs: Sequence[str]) -> list[str]:
    """The inputs that stay: what voxels say, and each stage's slices that are worth something beside that.

    Worth something: the log loss of the exams, cross-validated, is lower with it, and the 95 % interval of the paired
    difference leaves out zero.
    """
    names = list(inputs)
    always = [name for name in names if name in VOXEL_INPUTS]
    without = _losses(x, y, fold, [names.index(name) for name in always])
    kept = set(always)
    for name in names:
        if name not in always:
            gain = without - _losses(x, y, fold, [names.index(n) for n in (*always, name)])
            if gain.mean() > 1.96 * gain.std(ddof=1) / np.sqrt(len(gain)):
                kept.add(name)
    return [name for name in names if name in kept]


def _losses(x: Values, y: Values, fold: NDArray[np.int64], columns: Sequence[int]) -> Values:
    """Log loss of each exam by a model that was fitted on other patients' exams."""
    odds = _unseen_exams(x[:, columns], y, fold)
    return np.asarray(np.logaddexp(0, np.where(y > 0.5, -odds, odds)))


def _unseen_exams(x: Values, y: Values, fold: NDArray[np.int64]) -> Values:
    """Log-odds of each exam by a model that was fitted on other patients' exams."""
    odds = np.zeros(len(y))
    for k in np.unique(fold):
        intercept, weights = fit_monotone(x[fold != k], y[fold != k])
        odds[fold == k] = intercept + np.nan_to_num(x[fold == k]) @ weights
    return odds


def operating_points(probability: Values, y: Values, measured_on: str) -> dict[str, OperatingPoint]:
    """`rule_out` keeps 90 % sensitivity, `rule_in` 90 % specificity, `balanced` has the best sum of both.

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


def refuse_few(y: Values) -> None:
    """Refuse exams that are too few to fit on.

    Raises:
        UsageError: They are.
    """
    positive, negative = int((y > 0.5).sum()), int((y <= 0.5).sum())
    if min(positive, negative) < LEAST_EXAMS:
        raise UsageError(
            f"the fusion needs at least {LEAST_EXAMS} exams with and {LEAST_EXAMS} without embolism, "
            f"got {positive} and {negative}; add validation studies",
            "E_TOO_FEW_EXAMS",
        )


def fit_lesions(
    exams: Sequence[Sequence[Measured]], fold: NDArray[np.int64]
) -> tuple[list[Measured], LesionModel, list[Values]]:
    """The voxel threshold and the outline with the best Dice of what is kept, and the model of lesions there.

    Returns:
        The exams as measured at that threshold; the model; log-odds of each exam's candidates by models that were
        fitted on other patients' exams.
    """
    tables = [list(exams_there) for exams_there in zip(*exams, strict=True)]
    unseen = [unseen_odds(table, model, fold) for table, model in zip(tables, _MODELS, strict=True)]
    worths = {
        (i, k): worth(table, odds, k)
        for i, (table, odds) in enumerate(zip(tables, unseen, strict=True))
        for k in range(len(OUTLINES))
    }
    # Of thresholds that are as good, the lowest: a hundredth of Dice is noise, and what is found counts more.
    i = min(i for (i, _), value in worths.items() if value >= max(worths.values()) - 0.01)
    k = max(range(len(OUTLINES)), key=lambda k: worths[i, k])
    model = replace(fitted_lesions(tables[i], _MODELS[i]), outline=OUTLINES[k])
    kept = {name: kept_from(tables[i], unseen[i], most, k) for name, most in FALSE_POSITIVES.items()}
    return tables[i], replace(model, threshold=kept[USUAL], thresholds=kept), unseen[i]


def worth(exams: Sequence[Measured], odds: Sequence[Values], outline: int) -> float:
    """Mean Dice, over exams with emboli, of the lesions that would be kept; 0 where no embolus is outlined.

    Args:
        exams: Measured at one voxel threshold.
        odds: Log-odds of each exam's candidates, by models that had not seen the exam.
        outline: Index of `OUTLINES`.
    """
    least = kept_from(exams, odds, FALSE_POSITIVES[USUAL], outline)
    dice = []
    for exam, some in zip(exams, odds, strict=True):
        if exam.hit_mm3 is not None and exam.truth_mm3:
            kept = expit(some) >= least
            hit, drawn = exam.hit_mm3[kept, outline].sum(), exam.drawn_mm3[kept, outline].sum()
            dice.append(2 * hit / (drawn + exam.truth_mm3))
    return float(np.mean(dice)) if dice else 0.0


def kept_from(exams: Sequence[Measured], odds: Sequence[Values], most: float, outline: int = 0) -> float:
    """The lowest probability at which no more than so many false lesions an exam are kept.

    Args:
        exams: Measured at one voxel threshold; those whose emboli nobody outlined have no say.
        odds: Log-odds of each exam's candidates.
        most: False positives an exam.
        outline: Index of `OUTLINES`: what is drawn smaller than `FALSE_POSITIVE_MM3` is none.
    """
    known = [
        (some, ~exam.true & (exam.drawn_mm3[:, outline] >= FALSE_POSITIVE_MM3))
        for some, exam in zip(odds, exams, strict=True)
        if exam.true is not None
    ]
    p = expit(np.concatenate([np.zeros(0), *[some for some, _ in known]]))
    false = np.concatenate([np.zeros(0, bool), *[alarm for _, alarm in known]])
    if not len(p):
        return LesionModel().threshold
    cuts = _cuts(p)
    false_positives = np.array([np.count_nonzero(false & (p >= cut)) for cut in cuts])
    return round(float(cuts[false_positives <= most * len(known)].min()), 6)


def unseen_odds(exams: Sequence[Measured], lesions: LesionModel, fold: NDArray[np.int64]) -> list[Values]:
    """Log-odds of each exam's candidates, by a lesion model that was fitted on other patients' exams."""
    unseen = [np.zeros(0)] * len(exams)
    for k in np.unique(fold):
        model = fitted_lesions([exam for exam, f in zip(exams, fold, strict=True) if f != k], lesions)
        for i in np.flatnonzero(fold == k).tolist():
            unseen[i] = _odds(model, exams[i])
    return unseen


def fitted_lesions(exams: Sequence[Measured], lesions: LesionModel) -> LesionModel:
    """The model of lesions on exams whose candidates are known to be emboli or not."""
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
    known = None if exam.inputs is None else odds
    row = exam_inputs(FusionParameters(), exam.findings, known, exam.expected_mm3)
    return [row.get(name, float("nan")) for name in inputs]


def _baselines(x: Values) -> Values:
    """Mean of the known values of each column; 0 where none is."""
    known = np.isfinite(x)
    return np.asarray(np.where(known, x, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
