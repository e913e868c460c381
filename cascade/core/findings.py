"""Findings: the belief about a study. Ground truth has the same type: the belief of someone who knows.

A field that nobody has filled is None, which means unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cascade.core.grid import Box, Grid
from cascade.core.study import Note

Decision = Literal["positive", "negative", "review", "abstain"]
Side = Literal["right", "left", "both"]
SIDES = ("right", "left")


@dataclass(frozen=True, eq=False)
class Field:
    """Values on the voxels of a box; what lies outside was not looked at.

    Attributes:
        values: uint8 or uint16 `[z, y, x]` of the box's shape.
        box: Where the values lie in the study's grid.
    """

    values: NDArray[np.unsignedinteger[Any]]
    box: Box

    def full(self, shape: tuple[int, int, int]) -> NDArray[np.unsignedinteger[Any]]:
        """The values in an array of the grid's shape `[z, y, x]`; 0 outside the box."""
        out = np.zeros(shape, dtype=self.values.dtype)
        out[self.box.slices] = self.values
        return out


@dataclass(frozen=True, eq=False)
class Lungs:
    """Where the lungs are.

    Attributes:
        boxes: float32 `[z, 2, 4]`: for each slice the right and the left lung as x0, y0, x1, y1 in voxels
            (half-open edges); NaN where a lung is not seen.
        region: The box around both lungs with a margin, so that the central arteries between them lie inside;
            None where there are no lungs.
    """

    boxes: NDArray[np.float32]
    region: Box | None


@dataclass(frozen=True, eq=False)
class LungReference:
    """The lungs as a threshold and connected components find them in a study, without anything learned.

    Attributes:
        sides: uint8 `[z, y, x]` on the study's grid: 1 right lung, 2 left lung, 0 neither.
        boxes: float32 `[z, 2, 4]`: the right and the left lung of each slice as x0, y0, x1, y1 in voxels
            (half-open); NaN where there is none.
        right_ml: Volume of the voxels of side 1.
        left_ml: Volume of the voxels of side 2.
    """

    sides: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    right_ml: float
    left_ml: float

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of either lung, bool `[z, y, x]`."""
        return np.asarray(self.sides > 0)

    @property
    def found(self) -> bool:
        """Whether there is a lung at all."""
        return self.right_ml + self.left_ml > 0


@dataclass(frozen=True, eq=False)
class Slices:
    """One value a slice, feet to head; NaN where it is unknown.

    Attributes:
        lung: Probability that the slice shows lung, float32 `[z]`.
        pe: Scores for embolism by the name of the stage that gave them, each float32 `[z]`, in the order of the
            stages; in a truth, by the name of the source that knows.

    Raises:
        ValueError: Scores are not one a slice.
    """

    lung: NDArray[np.float32]
    pe: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, scores in self.pe.items():
            if scores.shape != self.lung.shape:
                raise ValueError(f"{name} scores {scores.shape} slices, there are {self.lung.shape}")
        object.__setattr__(self, "pe", dict(self.pe))  # what the caller does to its own mapping later changes nothing

    @classmethod
    def unknown(cls, count: int) -> Slices:
        """Nothing known about `count` slices."""
        return cls(np.full(count, np.nan, np.float32))

    def with_pe(self, name: str, scores: NDArray[np.float32]) -> Slices:
        """These slices with the scores `[z]` of one more stage, or with new ones of a stage that is there."""
        return replace(self, pe={**self.pe, name: scores})

    @property
    def suspicion(self) -> NDArray[np.float32]:
        """The score of the last stage that saw the slice, float32 `[z]`; NaN where none did."""
        last = np.full_like(self.lung, np.nan)
        for scores in self.pe.values():
            last = np.where(np.isnan(scores), last, scores)
        return last


PLACES = (("central", 6.2), ("lobar", 3.9), ("segmental", 2.1), ("subsegmental", 0.0))
"""Name of a stretch of pulmonary artery by its radius in mm, largest first."""


def place_of(radius_mm: float) -> str:
    """Central, lobar, segmental or subsegmental."""
    return next(name for name, least in PLACES if radius_mm >= least)


@dataclass(frozen=True)
class Lesion:
    """One embolus.

    Attributes:
        number: Its value in `Findings.labels`; 1, 2, ... by falling probability, then volume.
        voxels: Count.
        volume_mm3: Volume.
        probability: That it is an embolus and no false positive, 0..1.
        probability_max: Highest embolus probability of its voxels.
        probability_mean: Mean embolus probability of its voxels.
        artery: Mean artery probability of its voxels; None where unknown.
        centroid_mm: LPS x, y, z.
        slices: First and last slice index, inclusive.
        side: Of the patient.
        place: "central", "lobar", "segmental" or "subsegmental", by the artery's radius, where that is known.
        disagreement: Mean difference between the ensemble's members over its voxels; None where unknown.
    """

    number: int
    voxels: int
    volume_mm3: float
    probability: float
    probability_max: float
    probability_mean: float
    centroid_mm: tuple[float, float, float]
    slices: tuple[int, int]
    side: Side
    artery: float | None = None
    place: str | None = None
    disagreement: float | None = None


@dataclass(frozen=True)
class Contribution:
    """What one input added to the exam's log-odds."""

    input: str
    value: float
    effect: float


@dataclass(frozen=True)
class Exam:
    """The answer for the patient.

    Attributes:
        probability: Of an embolism; None where the decision is to abstain.
        decision: `positive`, `negative`, `review` (between two operating points) or `abstain`.
        operating_point: Name of the thresholds used.
        reason: One sentence.
        contributions: What drove the probability, largest effect first.
        labels: RSNA's exam labels where known.
    """

    decision: Decision
    probability: float | None = None
    operating_point: str | None = None
    reason: str = ""
    contributions: tuple[Contribution, ...] = ()
    labels: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Quality:
    """Whether the study can be judged.

    Attributes:
        chest: Lungs were found.
        lung_ml: Volume of the lungs by threshold.
        contrast_hu: Mean HU of the pulmonary trunk and main arteries; None where they were not found.
        contrast_source: Where `contrast_hu` was measured: "arteries" or "mediastinum".
        cut: Share of the lungs' height that seems missing at the first and last slice, 0..1.
        noise_hu: Standard deviation in homogeneous soft tissue.
    """

    chest: bool | None = None
    lung_ml: float | None = None
    contrast_hu: float | None = None
    contrast_source: str | None = None
    cut: float | None = None
    noise_hu: float | None = None

    @property
    def artery_hu(self) -> float | None:
        """The contrast, where it was measured in arteries."""
        return self.contrast_hu if self.contrast_source == "arteries" else None


@dataclass(frozen=True, eq=False)
class Findings:
    """What is believed about a study. Stages return `dataclasses.replace(findings, ...)`.

    Attributes:
        grid: The study's.
        lungs: Boxes and region.
        slices: Slice-level scores.
        embolus: Probability 0..255 in the region only.
        labels: Instance numbers of the lesions, in the same region.
        arteries: Pulmonary-artery probability 0..255, likewise.
        std: Disagreement of the ensemble's members 0..255, likewise.
        lesions: Sorted by falling probability, then volume; empty means none found.
        rejected: Candidates that were not sure enough to be lesions, in the same order; their numbers go on, and are
            in no map.
        exam: The patient's answer.
        quality: Whether the study can be judged.
        warnings: Codes and sentences gathered on the way.
        provenance: Bundle hash, versions, series chosen and why. No timings: two findings of one study are equal.
        reference: The lungs by threshold, which the study alone decides: neither saved nor compared.
    """

    grid: Grid
    lungs: Lungs | None = None
    slices: Slices | None = None
    embolus: Field | None = None
    labels: Field | None = None
    arteries: Field | None = None
    std: Field | None = None
    lesions: tuple[Lesion, ...] | None = None
    rejected: tuple[Lesion, ...] | None = None
    exam: Exam | None = None
    quality: Quality | None = None
    warnings: tuple[Note, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    reference: LungReference | None = field(default=None, compare=False, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Findings) and same(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def mask(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """Voxels whose embolus probability reaches `threshold` (0..1), on the study's grid `[z, y, x]`."""
        out = np.zeros(self.grid.shape, dtype=bool)
        if self.embolus is not None:
            out[self.embolus.box.slices] = self.embolus.values >= max(round(threshold * 255), 1)
        return out

    def lesion_mask(self) -> NDArray[np.unsignedinteger[Any]]:
        """Lesion numbers on the study's grid `[z, y, x]`; 0 is background."""
        if self.labels is None:
            return np.zeros(self.grid.shape, dtype=np.uint8)
        return self.labels.full(self.grid.shape)


def same(a: Any, b: Any) -> bool:
    """Whether two values of this module are equal, arrays and NaN included; the order of a mapping says nothing."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if type(a) is not type(b):
        return False
    if is_dataclass(a) and not isinstance(a, Grid):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.compare)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)
