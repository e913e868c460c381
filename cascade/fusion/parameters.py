"""What the fusion holds: a few numbers that were fitted, and what was measured with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cascade.core.registry import nearest

LESION_INPUTS = ("expected", "peak", "mean", "contrast")
"""What the lesion model is fitted on: log volume by the voxels' probabilities, log-odds of the surest voxel and of the
mean one, and the contrast of the blood in the arteries to a candidate, in units of noise. Each is turned so that more
of it speaks for an embolus. The artery map is not among them: where a clot fills its artery, it shows none."""

KNOWN_INPUTS = (*LESION_INPUTS, "volume", "artery", "in_tree", "near_tree", "agreement")
"""Those, and what earlier bundles' models read."""

VOXEL_INPUTS = {
    "lesion": "the strongest lesion",
    "volume": "the volume of embolus that is to be expected",
}
"""What voxels give the exam model, with the words of a reason: log-odds of the strongest candidate, log volume of the
candidates by their probabilities. The other inputs are the names of stages: log-odds of their highest slices."""

POINTS = ("rule_out", "balanced", "rule_in")


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the exam's probability, and how it did.

    Attributes:
        threshold: Exams at or above it are positive.
        sensitivity: On the exams it was fitted on, cross-validated.
        specificity: Likewise.
        interval: Wilson 95 % intervals of "sensitivity" and "specificity".
        measured_on: Which exams, how many.
    """

    threshold: float
    sensitivity: float
    specificity: float
    interval: Mapping[str, tuple[float, float]]
    measured_on: str


@dataclass(frozen=True)
class LesionModel:
    """From the probability field to lesions.

    Attributes:
        grow: Voxels from this probability on belong to a component.
        seed: A component needs one voxel from this probability on.
        min_volume_mm3: And at least this volume.
        intercept: Log-odds of a component whose inputs equal their baselines.
        coefficients: Log-odds a unit of each input; never negative.
        baselines: Mean of each input over the components it was fitted on; taken where an input is unknown.
        threshold: Components from this probability on are lesions.
        thresholds: The same by operating point, where one is asked for; `threshold` where it is not among them.
        outline: Share of a component's highest probability from which on its voxels are the lesion's; 0 for all.
        margin_mm: How far around a lesion its artery is looked at, for the lesion's place.
    """

    grow: float = 0.5
    seed: float = 0.5
    min_volume_mm3: float = 10.0
    intercept: float = 0.0
    coefficients: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    outline: float = 0.0
    margin_mm: float = 12.0

    def kept_from(self, operating_point: str | None) -> float:
        """The probability from which on components are lesions at an operating point; None for the usual one."""
        return self.thresholds.get(operating_point or "", self.threshold)


@dataclass(frozen=True)
class Calibration:
    """Platt's: log-odds become `slope * log-odds + offset`, fitted on exams that the model had not seen."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class FusionParameters:
    """All of it. The defaults are the unfitted state: components at one half, and no word about the exam.

    Attributes:
        inputs: The exam model's, in order: of `VOXEL_INPUTS`, and names of stages that score slices. Empty where
            nothing was fitted.
        coefficients: Log-odds a unit of each input; never negative.
        baselines: Mean of each input over the exams without embolism; effects are counted from there.
        intercept: Log-odds of an exam whose inputs equal their baselines, before calibration.
        calibration: Of the log-odds.
        lesions: The lesion model.
        operating_points: `rule_out`, `balanced`, `rule_in`.
        fitted_on: Which exams.
        no_lesion: Log-odds of the strongest lesion where there is no candidate at all; below 0.
        top_mm: A stage's slices speak for an exam by the mean of its highest scores over so much of the patient.
    """

    inputs: tuple[str, ...] = ()
    coefficients: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    intercept: float = 0.0
    calibration: Calibration = Calibration()
    lesions: LesionModel = LesionModel()
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    fitted_on: str = ""
    no_lesion: float = -6.0
    top_mm: float = 15.0

    @property
    def fitted(self) -> bool:
        """Whether there is a model of the exam."""
        return bool(self.inputs) and set(POINTS) <= set(self.operating_points)


def sound(fusion: FusionParameters, scoring: Collection[str]) -> FusionParameters:
    """A fusion that can answer, or none at all.

    Args:
        fusion: As it was read.
        scoring: The names of all stages that score slices.

    Raises:
        ValueError: An input is unknown, the thresholds are not probabilities that rise from rule_out to rule_in, or a
            length is none.
    """
    for kind, names, known in (
        ("inputs", (*fusion.inputs, *fusion.coefficients), (*VOXEL_INPUTS, *scoring)),
        ("lesions.coefficients", fusion.lesions.coefficients, KNOWN_INPUTS),
        ("lesions.thresholds", fusion.lesions.thresholds, POINTS),
    ):
        for name in names:
            if name not in known:
                raise ValueError(f"fusion.{kind} has the unknown name {name!r}; {nearest(name, known)}")
    points = fusion.operating_points
    if fusion.inputs and set(points) != set(POINTS):
        raise ValueError(f"fusion.operating_points are {sorted(points)}, all of {', '.join(POINTS)} are meant")
    rising = [points[name].threshold for name in ("rule_out", "rule_in") if name in points]
    if not all(0 <= point.threshold <= 1 for point in points.values()) or rising != sorted(rising):
        raise ValueError("fusion.operating_points must be probabilities, rule_out at most rule_in")
    if not 0 <= fusion.lesions.outline <= 1:
        raise ValueError(f"fusion.lesions.outline must be from 0 to 1, got {fusion.lesions.outline:g}")
    if fusion.no_lesion >= 0:
        raise ValueError(f"fusion.no_lesion must be below 0, got {fusion.no_lesion:g}")
    for name, length in (("top_mm", fusion.top_mm), ("lesions.margin_mm", fusion.lesions.margin_mm)):
        if length <= 0:
            raise ValueError(f"fusion.{name} must be above 0, got {length:g}")
    return fusion
