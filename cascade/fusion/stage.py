"""The fusion stage: gates, lesions, the exam's probability and the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from cascade.core.errors import UsageError
from cascade.core.findings import Contribution, Decision, Exam, Field, Findings, Lesion, Quality, place_of
from cascade.core.grid import Box
from cascade.core.progress import Progress
from cascade.core.registry import nearest
from cascade.core.study import Note, Study
from cascade.fusion.candidates import Candidates, Values, find, logit, outlined, score, side_of
from cascade.fusion.gates import Gates, judge
from cascade.fusion.parameters import POINTS, VOXEL_INPUTS, FusionParameters, LesionModel


class Fusion:
    """What voxels and slices mean for the patient.

    Reads     study and findings.reference (for the gates), findings.embolus, arteries, std, slices, lungs
    Returns   findings.lesions, labels, exam, quality, and warnings

    Args:
        parameters: Fitted; the defaults name lesions at one half and abstain.
        gates: When to abstain.
        operating_point: None for three answers (negative, review, positive); a name for two.
    """

    name = "fusion"

    def __init__(
        self,
        parameters: FusionParameters | None = None,
        gates: Gates | None = None,
        operating_point: str | None = None,
    ) -> None:
        if operating_point is not None and operating_point not in POINTS:
            raise UsageError(
                f"unknown operating point {operating_point!r}; {nearest(operating_point, POINTS)}", "E_OPERATING_POINT"
            )
        self.parameters = parameters or FusionParameters()
        self.gates = gates or Gates()
        self.operating_point = operating_point

    def __call__(self, study: Study, findings: Findings, progress: Progress | None = None) -> Findings:
        """Judge the study, name the lesions, answer for the exam."""
        verdict = judge(study, findings, self.gates)
        candidates = find(findings, self.parameters.lesions, study)
        odds = _odds(self.parameters, candidates, verdict.quality)
        findings = _with_lesions(findings, candidates, odds, self.parameters.lesions, self.operating_point)
        # What the reader remarked with the same code, the gate says with its consequence.
        said = {note.code for note in verdict.warnings}
        warnings = tuple(note for note in findings.warnings if note.code not in said) + verdict.warnings
        if verdict.abstain:
            exam = Exam("abstain", reason=" ".join(f"{n.code}: {n.text}." for n in verdict.abstain))
        elif not self.parameters.fitted:
            note = Note("W_FUSION_NOT_FITTED", "no fusion was fitted for these stages, so the exam has no probability")
            warnings += (note,)
            exam = Exam("abstain", reason=f"{note.code}: {note.text}.")
        else:
            exam = self._exam(findings, odds, np.zeros(0) if candidates is None else candidates.expected_mm3)
        if progress is not None:
            progress(self.name, 1, 1)
        return replace(findings, exam=exam, quality=verdict.quality, warnings=warnings)

    def _exam(self, findings: Findings, odds: Values | None, expected_mm3: Values) -> Exam:
        parameters = self.parameters
        values = exam_inputs(parameters, findings, odds, expected_mm3)
        probability, contributions = answer(parameters, values)
        points = parameters.operating_points
        if self.operating_point is not None:
            threshold = points[self.operating_point].threshold
            decision: Decision = "positive" if probability >= threshold else "negative"
        elif probability >= points["rule_in"].threshold:
            decision = "positive"
        else:
            decision = "review" if probability >= points["rule_out"].threshold else "negative"
        name = self.operating_point or ("rule_in" if decision == "positive" else "rule_out")
        reason = _reason(findings, decision, probability, points[name].threshold, name, contributions)
        return Exam(decision, probability, name, reason, contributions)


def exam_inputs(
    parameters: FusionParameters, findings: Findings, odds: Values | None, expected_mm3: Values
) -> dict[str, float]:
    """The exam model's inputs as far as they are known: what voxels give, and each scoring stage's by its name.

    All candidates speak for the exam, those that are not kept as lesions included: the model of lesions says how much.

    Args:
        parameters: What stands for no candidate, and how much of the patient the highest slices are.
        findings: With slice scores.
        odds: Log-odds of the candidates `[n]`; None where nobody looked.
        expected_mm3: Their volumes by the voxels' probabilities `[n]`.
    """
    values: dict[str, float] = {}
    if odds is not None:
        none = parameters.no_lesion
        values["lesion"] = float(np.clip(odds.max(initial=none), none, -none))
        values["volume"] = float(np.log1p((expected_mm3 * expit(odds)).sum()))
    if findings.slices is not None:
        for name, scores in findings.slices.pe.items():
            values[name] = _top(scores, findings.grid.spacing[0], parameters.top_mm)
    return values


def answer(parameters: FusionParameters, values: Mapping[str, float]) -> tuple[float, tuple[Contribution, ...]]:
    """The calibrated probability, and what each input added to its log-odds, largest first.

    An input that is NaN or not among the values counts as its baseline.
    """
    slope = parameters.calibration.slope
    contributions = []
    total = slope * parameters.intercept + parameters.calibration.offset
    for name in parameters.inputs:
        base = parameters.baselines.get(name, 0.0)
        value = values.get(name, np.nan)
        value = value if np.isfinite(value) else base
        effect = slope * parameters.coefficients.get(name, 0.0) * (value - base)
        total += effect
        contributions.append(Contribution(name, round(value, 6), round(effect, 6)))
    contributions.sort(key=lambda c: -abs(c.effect))
    return round(float(expit(total)), 6), tuple(contributions)


def _odds(parameters: FusionParameters, candidates: Candidates | None, quality: Quality) -> Values | None:
    if candidates is None:
        return None
    model = parameters.lesions
    if not model.coefficients:
        # Unfitted: a component is as sure as its surest voxel.
        return logit(candidates.peak)
    return score(model, candidates.inputs(quality), len(candidates))


def _with_lesions(
    findings: Findings, candidates: Candidates | None, odds: Values | None, model: LesionModel, point: str | None
) -> Findings:
    """With every candidate: as a lesion where it is sure enough for the operating point, else as a rejected one."""
    if candidates is None or odds is None:
        return replace(findings, lesions=None, labels=None, rejected=None)
    drawn = outlined(candidates, findings, model.outline)
    probability = np.round(expit(odds), 6)
    # By probability, then volume; the place decides what is left, so that the order is always the same one.
    order = np.lexsort((drawn.first, -drawn.volume_mm3, -probability))
    count = int(np.count_nonzero(probability >= model.kept_from(point)))
    renumber: NDArray[np.unsignedinteger[Any]]
    renumber = np.zeros(len(drawn) + 1, np.uint8 if count < 256 else np.uint16)
    renumber[order[:count] + 1] = np.arange(1, count + 1)
    labels = Field(np.asarray(renumber[drawn.labels]), drawn.box)
    every = tuple(
        _lesion(findings, drawn, int(i), n, float(probability[i]), model.margin_mm)
        for n, i in enumerate(order, start=1)
    )
    return replace(findings, lesions=every[:count], labels=labels, rejected=every[count:])


def _lesion(
    findings: Findings, candidates: Candidates, i: int, number: int, probability: float, margin_mm: float
) -> Lesion:
    x, y, z = (round(float(v), 3) for v in findings.grid.to_mm(candidates.centroid[i]))
    return Lesion(
        number=number,
        voxels=int(candidates.voxels[i]),
        volume_mm3=round(float(candidates.volume_mm3[i]), 3),
        probability=probability,
        probability_max=round(float(candidates.peak[i]), 6),
        probability_mean=round(float(candidates.mean[i]), 6),
        centroid_mm=(x, y, z),
        slices=(int(candidates.first[i]), int(candidates.last[i])),
        side=side_of(candidates, i + 1, findings),
        artery=_known(candidates.artery[i]),
        place=_place(findings, candidates, i, margin_mm),
        disagreement=_known(candidates.std[i]),
    )


def _place(findings: Findings, candidates: Candidates, i: int, margin_mm: float) -> str | None:
    """The place of the widest stretch of artery that a component lies in; None where arteries are unknown.

    The artery is looked at as far as `margin_mm` around the component.

    A clot that fills its artery is no artery to the network, so the lumen is both together.
    """
    if findings.arteries is None or findings.arteries.box != candidates.box:
        return None
    z, y, x = candidates.parts[i]
    around = Box(z.start, z.stop, y.start, y.stop, x.start, x.stop)
    margin = tuple(int(np.ceil(margin_mm / s)) for s in findings.grid.spacing)
    part = around.grow((margin[0], margin[1], margin[2]), candidates.box.shape).slices
    lumen = np.pad((findings.arteries.values[part] >= 128) | (candidates.labels[part] > 0), 1)
    inside = ndimage.distance_transform_edt(lumen, sampling=findings.grid.spacing)[1:-1, 1:-1, 1:-1]
    # From the middle of the outermost voxel the wall is half a voxel further.
    return place_of(float(inside[candidates.labels[part] == i + 1].max()) - findings.grid.spacing[1] / 2)


def _known(value: Any) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _top(scores: NDArray[np.float32], spacing_mm: float, top_mm: float) -> float:
    """Mean log-odds of the highest scores over `top_mm` of the patient; NaN where no slice was seen."""
    known = scores[np.isfinite(scores)]
    if not known.size:
        return float("nan")
    count = max(round(top_mm / spacing_mm), 1)
    return float(logit(np.sort(known)[-count:], 0.005).mean())


def _reason(
    findings: Findings,
    decision: str,
    probability: float,
    threshold: float,
    point: str,
    contributions: tuple[Contribution, ...],
) -> str:
    side = "at or above" if probability >= threshold else "under"
    text = f"{decision}: probability {probability:.2f} is {side} {point} ({threshold:.2f})"
    if findings.lesions:
        first = findings.lesions[0]
        where = "on both sides" if first.side == "both" else f"on the {first.side}"
        text += f"; the most probable of {len(findings.lesions)} lesions has {first.volume_mm3:.0f} mm3 {where}"
        text += f" at z = {first.centroid_mm[2]:.0f} mm"
    elif findings.lesions is not None:
        text += "; no lesion was found"
    if contributions and contributions[0].effect:
        most = contributions[0]
        words = VOXEL_INPUTS.get(most.input, f"the highest slices by {most.input}")
        text += f"; most came from {words} ({most.effect:+.1f} log-odds)"
    return text + "."
