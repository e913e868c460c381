"""How right an answer is. Metrics take two `Findings`, the answer and the truth, and nothing else.

Masks are compared per study in 3D, never per slice: means over slices reward empty ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.findings import Findings
from cascade.core.truth import is_positive

CLOT_MM3 = 30.0
"""Components of the truth from this volume on are clots to be found; smaller ones are pixels at the edge of a mask."""
FALSE_POSITIVE_MM3 = 40.0
"""Components of the answer from this volume on count as alarms where they touch no clot."""
ABSTAINED = 0.5
"""What an abstention scores in a ranking of exams: it is counted, not left out."""


@dataclass(frozen=True)
class Score:
    """One study's answer beside its truth.

    Attributes:
        positive: The truth holds an embolus: by its voxels, else by its exam.
        dice: Of the embolus masks, 0..1; 0 where only one of them is empty, None where both are or nothing is outlined.
        clots: Clots in the truth of at least `CLOT_MM3`.
        found: Those that a lesion of the answer overlaps.
        false_positives: Lesions of at least `FALSE_POSITIVE_MM3` that overlap no voxel of the truth.
        false_positive_mm3: Their volume.
        truth_mm3: Volume of the truth.
        answer_mm3: Volume of the answer.
        probability: Of the exam; None where the answer abstains or says nothing.
        decision: Of the exam; None where the answer says nothing.
        outlined: The truth says which voxels are embolus, or that none is; else nothing is known of clots and false
            positives.
    """

    positive: bool
    dice: float | None
    clots: int
    found: int
    false_positives: int
    false_positive_mm3: float
    truth_mm3: float
    answer_mm3: float
    probability: float | None
    decision: str | None
    outlined: bool = True

    @property
    def ranked(self) -> float:
        """The probability that the exam is ranked by."""
        return ABSTAINED if self.probability is None else self.probability


def score(answer: Findings, truth: Findings) -> Score:
    """Compare an answer with the truth of the same study.

    Raises:
        InputError: They lie on different grids.
        UsageError: The truth says nothing of embolism.
    """
    if answer.grid.shape != truth.grid.shape or not np.allclose(answer.grid.affine, truth.grid.affine, atol=1e-2):
        raise InputError("E_GRID", f"the answer lies on {answer.grid}, the truth on {truth.grid}; compare one study")
    positive = is_positive(truth)
    outlined = not positive or truth.embolus is not None or truth.labels is not None
    ours, theirs = lesions(answer), lesions(truth)
    voxel_mm3 = answer.grid.voxel_mm3
    clots, found = _touched(theirs, ours > 0, CLOT_MM3 / voxel_mm3)
    volumes = np.bincount(ours.ravel())
    touching = set(np.unique(ours[theirs > 0]).tolist())
    false = [
        n
        for n in range(1, len(volumes))
        if outlined and volumes[n] * voxel_mm3 >= FALSE_POSITIVE_MM3 and n not in touching
    ]
    return Score(
        positive=positive,
        dice=dice(ours > 0, theirs > 0) if outlined else None,
        clots=clots,
        found=found,
        false_positives=len(false),
        false_positive_mm3=float(sum(volumes[n] for n in false) * voxel_mm3),
        truth_mm3=float(np.count_nonzero(theirs) * voxel_mm3),
        answer_mm3=float(np.count_nonzero(ours) * voxel_mm3),
        probability=answer.exam.probability if answer.exam else None,
        decision=answer.exam.decision if answer.exam else None,
        outlined=outlined,
    )


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float | None:
    """Overlap of two masks, 0..1; None where both are empty, for then there is nothing to overlap."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else None


def lesions(findings: Findings) -> NDArray[np.unsignedinteger[Any]]:
    """Lesion numbers `[z, y, x]`: the findings' own, else components (26 neighbours) of the mask at 0.5."""
    if findings.labels is not None:
        return findings.lesion_mask()
    import cc3d

    labelled: NDArray[np.unsignedinteger[Any]] = cc3d.connected_components(findings.mask(), connectivity=26)
    return labelled


def _touched(
    labels: NDArray[np.unsignedinteger[Any]], mask: NDArray[np.bool_], smallest_voxels: float
) -> tuple[int, int]:
    """How many labels are large enough, and how many of those the mask overlaps."""
    volumes = np.bincount(labels.ravel())
    large = {n for n in range(1, len(volumes)) if volumes[n] >= smallest_voxels}
    return len(large), len(large & set(np.unique(labels[mask]).tolist()))
