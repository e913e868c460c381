"""What a truth says: `Findings` of someone who knows."""

from __future__ import annotations

import numpy as np

from cascade.core.errors import UsageError
from cascade.core.findings import Findings

KNOWN = "truth"
"""Whose the slice scores of a truth are, where one writes them: the name stands where a stage's would."""


def is_positive(truth: Findings) -> bool:
    """Whether the truth holds an embolus: by its voxels, else by its exam.

    Raises:
        UsageError: The truth says neither.
    """
    if truth.embolus is not None:
        return bool((truth.embolus.values >= 128).any())
    if truth.labels is not None:
        return bool(truth.labels.values.any())
    if truth.exam is not None and truth.exam.decision in ("positive", "negative"):
        return truth.exam.decision == "positive"
    raise UsageError("a case's truth says nothing of embolism: neither voxels nor an exam's label", "E_NO_TRUTH")


def embolus_on(truth: Findings, z: int) -> float:
    """1 where the truth shows an embolus on slice `z`, 0 where it shows none, NaN where it does not say.

    Said by, in this order: the slice's own label, the embolus mask, an exam without embolism.
    """
    for scores in truth.slices.pe.values() if truth.slices is not None else ():
        if np.isfinite(scores[z]):
            return float(scores[z])
    if truth.embolus is not None:
        box = truth.embolus.box
        return float(box.z0 <= z < box.z1 and bool((truth.embolus.values[z - box.z0] >= 128).any()))
    if truth.exam is not None and truth.exam.decision == "negative":
        return 0.0
    return float("nan")
