"""What makes a case suspect once it is open: masks in the wrong place, values that are no HU, sizes that are no chest.

A mask that was mirrored or turned upside down against its image cannot be told by its header, which agrees. It can be
told by what lies under it: a clot has the HU of soft tissue, whatever lies at its mirrored place seldom has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.reference import find_lungs
from cascade.study import Study
from cascade.training.case import Case

CLOT_HU = (-50, 250)
"""Between them lie clots with their rims: measured on two patients of FUMPE, 0.83 to 0.96 of the masks' voxels."""

LITTLE = 0.6
"""A mask with a smaller share of such voxels is suspect."""

BETTER = 0.25
"""How much larger the share must be in another orientation for that to be the mask's true one. In those two patients
no other orientation had a share above 0.55."""

_AXES = ("upside down", "front to back", "left to right")
_WHOLE_MM = 150.0
_LUNG_ML = (500.0, 12000.0)
_TISSUE_HU = (-140.0, 150.0)


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set.

    Attributes:
        code: `E_` where nothing should be learned from it as it is, `W_` for a person to look at.
        text: One sentence that names the file and the remedy.
    """

    code: str
    text: str

    @property
    def hard(self) -> bool:
        """Whether training should not begin."""
        return self.code.startswith("E_")


def suspicions(case: Case, where: str) -> Iterator[Fault]:
    """What is suspect about an open case; `where` names its file."""
    codes = {note.code for note in case.study.warnings}
    yield from _mask(case, where)
    if "W_WINDOWED" not in codes:
        yield from _hounsfield(case, where)
    if "W_SPACING_ASSUMED" not in codes:
        yield from _size(case, where)


def orientation(hu: NDArray[np.int16], mask: NDArray[np.bool_]) -> tuple[float, float, tuple[int, ...]]:
    """How well a mask fits its image as it is, and in the orientation in which it fits best.

    Args:
        hu: `[z, y, x]`.
        mask: Embolus, with at least one voxel.

    Returns:
        The share of the mask's voxels with the HU of clots as it is, the highest share in any of the other seven
        orientations, and the axes that run the other way in it.
    """
    voxels, last = np.argwhere(mask), np.array(mask.shape) - 1
    shares: dict[tuple[int, ...], float] = {}
    for count in range(4):
        for axes in itertools.combinations(range(3), count):
            turned = voxels.copy()
            turned[:, axes] = last[list(axes)] - turned[:, axes]
            values = hu[tuple(turned.T)]
            shares[axes] = float(((values >= CLOT_HU[0]) & (values <= CLOT_HU[1])).mean())
    own = shares.pop(())
    best = max(shares, key=lambda axes: shares[axes])
    return own, shares[best], best


def _mask(case: Case, where: str) -> Iterator[Fault]:
    truth = case.truth
    if truth.embolus is None:
        return
    mask = truth.mask()
    if not mask.any():
        if truth.exam is not None and truth.exam.decision == "positive":
            text = f"the mask of {where} is empty though its exam is labelled positive"
            yield Fault("E_EMPTY_MASK", f"{text}; draw it, or leave the case out")
        elif case.kind == "labelled" and truth.slices is None:
            text = f"the mask of {where} is empty and taken for an exam without embolism"
            yield Fault("W_EMPTY_MASK", f"{text}; leave it out if nobody has looked for clots there")
        return
    own, other, axes = orientation(case.study.hu, mask)
    if own >= LITTLE:
        return
    lies = f"only {own:.0%} of the mask of {where} lies on voxels of {CLOT_HU[0]} to {CLOT_HU[1]} HU"
    if other >= max(LITTLE, own + BETTER):
        how = " and ".join(_AXES[axis] for axis in axes)
        text = f"{lies}, {other:.0%} would if it were turned {how}"
        yield Fault("E_MASK_TURNED", f"{text}: mask and image run in different directions; export both anew")
    else:
        yield Fault("W_MASK_PLACE", f"{lies}, where clots are; look at it over its image")


def _hounsfield(case: Case, where: str) -> Iterator[Fault]:
    """Air and tissue where they must be. Of studies of a few slices too little is known."""
    study = case.study
    if study.grid.shape[0] < 10:
        return
    tissue = _tissue_mode(study)
    if tissue is None or not _TISSUE_HU[0] <= tissue <= _TISSUE_HU[1]:
        found = "no soft tissue" if tissue is None else f"most of its tissue at {tissue:.0f} HU"
        text = f"{where} has {found} ({int(study.hu.min())} to {int(study.hu.max())})"
        yield Fault("E_NOT_HU", f"{text}; its values are no Hounsfield units: export it with its rescale")
    elif not find_lungs(study).found and _height_mm(study) >= _WHOLE_MM:
        text = f"{where} shows no lung under -500 HU"
        code = "W_NO_LUNGS" if case.kind == "real" else "E_NOT_HU"
        yield Fault(code, f"{text}; it is no chest, or its values are no Hounsfield units: export it with its rescale")


def _tissue_mode(study: Study) -> float | None:
    """The commonest HU among values that are no air, lung or bone: fat or muscle."""
    sample = study.hu.reshape(-1)[:: max(study.hu.size // 1_000_000, 1)]
    inner = sample[(sample > -300) & (sample < 1500)]
    if inner.size < 0.02 * sample.size:
        return None
    counts = np.bincount((inner.astype(np.int64) + 300) // 10)
    return float(counts.argmax()) * 10 - 295


def _size(case: Case, where: str) -> Iterator[Fault]:
    """A whole chest with lungs of no person's size: the spacing in the header is wrong."""
    study = case.study
    reference = find_lungs(study)
    volume = reference.right_ml + reference.left_ml
    if study.grid.shape[0] < 10 or not reference.found or _height_mm(study) < _WHOLE_MM:
        return
    if not _LUNG_ML[0] <= volume <= _LUNG_ML[1]:
        z, y, x = study.grid.spacing
        text = f"{where} has {volume / 1000:.1f} l of lung at a spacing of {z:.2f} x {y:.2f} x {x:.2f} mm"
        yield Fault("W_SPACING", f"{text}; see whether its header is right")


def _height_mm(study: Study) -> float:
    return study.grid.shape[0] * study.grid.spacing[0]
