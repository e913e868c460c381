"""How right an answer is. Metrics take two `Findings`, the answer and the truth, and nothing else.

Masks are compared per study in 3D, never per slice: means over slices reward empty ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascade.core.errors import InputError
from cascade.core.findings import Findings
from cascade.core.truth import is_positive
from cascade.metrics.lesions import lesions, match
from cascade.metrics.overlap import dice

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
    matched = match(ours, theirs, voxel_mm3)
    return Score(
        positive=positive,
        dice=dice(ours > 0, theirs > 0) if outlined else None,
        clots=len(matched.clots),
        found=int(matched.found.sum()),
        false_positives=len(matched.false) if outlined else 0,
        false_positive_mm3=float(matched.false_mm3.sum()) if outlined else 0.0,
        truth_mm3=float(np.count_nonzero(theirs) * voxel_mm3),
        answer_mm3=float(np.count_nonzero(ours) * voxel_mm3),
        probability=answer.exam.probability if answer.exam else None,
        decision=answer.exam.decision if answer.exam else None,
        outlined=outlined,
    )
