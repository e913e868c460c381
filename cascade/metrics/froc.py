"""FROC: how many clots are found at how many false lesions a study, whatever the threshold.

A lesion that overlaps a clot finds it, with the lesion's confidence; one that overlaps none is false. A clot that
several lesions overlap counts once, by the surest. Source: the evaluation of CAD-PE (Gonzalez et al., 2020), with
overlap of components in place of single points, as PEBench has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.core.truth import is_positive
from cascade.metrics.intervals import Figure, bootstrap
from cascade.metrics.lesions import Numbers, lesions, match

Values = NDArray[np.float64]

RATES = (0.5, 1.0, 2.0, 4.0)
"""False lesions a study, studies without a clot counted in."""
SIZES = (
    ("all", 0.0, np.inf),
    ("under 0.1 ml", 0.0, 100.0),
    ("0.1 to 1 ml", 100.0, 1000.0),
    ("from 1 ml", 1000.0, np.inf),
)
"""Classes of clots: name, least volume and the volume they stay under, mm3."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What one study's answer says of its clots.

    Attributes:
        clots_mm3: Volume of each clot of the truth `[n]`, from `CLOT_MM3` on.
        found: Confidence of the surest lesion that overlaps the clot `[n]`; -inf where none does.
        false: Confidence of each lesion that overlaps no voxel of the truth `[m]`, from `FALSE_POSITIVE_MM3` on.
    """

    clots_mm3: Values
    found: Values
    false: Values


def marks(answer: Findings, truth: Findings) -> Marks | None:
    """The answer's lesions beside the truth's clots; None where the truth outlines none though there is an embolism."""
    if truth.embolus is None and truth.labels is None and is_positive(truth):
        return None
    ours = lesions(answer)
    confidence = np.zeros(int(ours.max(initial=0)) + 1)
    for lesion in answer.lesions or ():
        confidence[lesion.number] = lesion.probability
    return compared(ours, confidence, lesions(truth), answer.grid.voxel_mm3)


def compared(ours: Numbers, confidence: Values, theirs: Numbers, voxel_mm3: float) -> Marks:
    """Numbered lesions beside numbered clots.

    Args:
        ours: Lesion numbers `[z, y, x]`; 0 is background.
        confidence: By lesion number; of 0 it is not looked at.
        theirs: Clot numbers `[z, y, x]`.
        voxel_mm3: Volume of a voxel.
    """
    matched = match(ours, theirs, voxel_mm3)
    surest = np.full(int(theirs.max(initial=0)) + 1, -np.inf)
    np.maximum.at(surest, matched.pairs[:, 1], confidence[matched.pairs[:, 0]])
    return Marks(matched.clots_mm3, surest[matched.clots], confidence[matched.false])


def sensitivity(
    studies: Sequence[Marks], rate: float, least_mm3: float = 0.0, under_mm3: float = np.inf
) -> float | None:
    """The highest share of clots found at no more than `rate` false lesions a study; None without a clot of that size.

    Nothing is interpolated: it is a threshold's own figure.
    """
    volumes = np.concatenate([np.zeros(0), *(some.clots_mm3 for some in studies)])
    wanted = (volumes >= least_mm3) & (volumes < under_mm3)
    if not wanted.any():
        return None
    found = np.concatenate([some.found for some in studies])[wanted]
    false = np.sort(np.concatenate([np.zeros(0), *(some.false for some in studies)]))[::-1]
    allowed = int(np.floor(rate * len(studies) + 1e-9))
    # Above the first false lesion that would be one too many.
    floor = false[allowed] if allowed < len(false) else -np.inf
    return float((found > floor).mean())


def sensitivity_with_interval(
    studies: Sequence[Marks], rate: float, least_mm3: float = 0.0, under_mm3: float = np.inf, seed: int = 0
) -> Figure:
    """The same with its 95 % bootstrap interval over studies."""
    return bootstrap(
        lambda pick: sensitivity([studies[i] for i in pick], rate, least_mm3, under_mm3), len(studies), seed
    )
