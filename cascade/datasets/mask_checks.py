"""What makes a case suspect once it is open: masks in the wrong place, values that are no HU, sizes that are no chest.

A mask that was mirrored or turned upside down against its image cannot be told by its header, which agrees. It can be
told by what lies under it: a clot has the HU of soft tissue and an edge to the blood or lung around it, and what lies
at its mirrored place seldom has both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import reference_of
from cascade.core.findings import LungReference
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.datasets.case import Case

CLOT_HU = (-50, 250)
"""Between them lie clots with their rims: on two patients of FUMPE 0.85 and 0.98 of the masks' voxels."""

LITTLE = 0.5
"""A mask with a smaller share of such voxels is suspect wherever it lies."""

_EDGE_HU = 60.0
"""So much a clot differs from the bright blood or the lung beside it."""

_WORSE = 0.65
_BEST = 0.35
"""A mask is turned where its rim fits the image less than `_WORSE` times as well as in another orientation, and there
at least `_BEST`. Rims of true masks fitted 0.45 and 0.49 (FUMPE) and 0.50 to 0.80 (simulated), in the seven other
orientations 0.45 at most. Of 43 masks, single clots among them, none was suspected; of 50 turned ones each."""

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
    reference = reference_of(case.study, case.truth)
    if "W_WINDOWED" not in codes:
        yield from _hounsfield(case, where, reference)
    if "W_SPACING_ASSUMED" not in codes:
        yield from _size(case, where, reference)


@dataclass(frozen=True)
class Fit:
    """How well a mask fits its image.

    Attributes:
        clot: Share of its voxels with the HU of clots.
        rim: Share of its rim where a clot's HU meet something else: where the mask's edge is an edge of the image.
    """

    clot: float
    rim: float


def fits(hu: NDArray[np.int16], mask: NDArray[np.bool_]) -> dict[tuple[int, ...], Fit]:
    """How a mask fits its image as it is, `()`, and with the axes of each key running the other way.

    Args:
        hu: `[z, y, x]`.
        mask: Embolus, with at least one voxel.
    """
    last = np.array(mask.shape) - 1
    around = Box.around(mask)
    assert around is not None, "the mask is empty"
    box = around.grow((1, 1, 1), (mask.shape[0], mask.shape[1], mask.shape[2]))
    corner = (box.z0, box.y0, box.x0)
    voxels, inside, outside = (index + corner for index in (np.argwhere(mask[box.slices]), *_rim(mask[box.slices])))
    found: dict[tuple[int, ...], Fit] = {}
    for axes in (some for count in range(4) for some in itertools.combinations(range(3), count)):
        against = np.isin(np.arange(3), axes)
        values, inner, outer = (
            hu[tuple(np.where(against, last - index, index).T)].astype(np.float32)
            for index in (voxels, inside, outside)
        )
        edge = _like_clot(inner) & (np.abs(outer - inner) >= _EDGE_HU)
        found[axes] = Fit(float(_like_clot(values).mean()), float(edge.mean()) if edge.size else 0.0)
    return found


def _like_clot(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((hu >= CLOT_HU[0]) & (hu <= CLOT_HU[1]))


def _rim(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Neighbours of which one is inside and one outside: indices `[n, 3]` of the one, and of the other."""
    inside, outside = [], []
    for axis in range(3):
        step = np.eye(3, dtype=np.intp)[axis]
        first, second = (
            np.take(mask, np.arange(*ends), axis) for ends in ((0, mask.shape[axis] - 1), (1, mask.shape[axis]))
        )
        for where, inner, outer in ((first & ~second, 0, 1), (second & ~first, 1, 0)):
            index = np.argwhere(where)
            inside.append(index + inner * step)
            outside.append(index + outer * step)
    return np.concatenate(inside), np.concatenate(outside)


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
    found = fits(case.study.hu, mask)
    own, best = found[()], max(found, key=lambda axes: found[axes].rim)
    if found[best].rim >= _BEST and own.rim < _WORSE * found[best].rim:
        how = " and ".join(_AXES[axis] for axis in best)
        text = f"the mask of {where} follows edges of its image on {own.rim:.0%} of its rim, turned {how} on "
        text += f"{found[best].rim:.0%}"
        yield Fault("E_MASK_TURNED", f"{text}: mask and image run in different directions; export both anew")
    elif own.clot < LITTLE:
        text = f"only {own.clot:.0%} of the mask of {where} lies on voxels of {CLOT_HU[0]} to {CLOT_HU[1]} HU"
        yield Fault("W_MASK_PLACE", f"{text}, as clots do; look at it over its image")


def _hounsfield(case: Case, where: str, reference: LungReference) -> Iterator[Fault]:
    """Air and tissue where they must be. Of studies of a few slices too little is known."""
    study = case.study
    if study.grid.shape[0] < 10:
        return
    tissue = _tissue_mode(study)
    if tissue is None or not _TISSUE_HU[0] <= tissue <= _TISSUE_HU[1]:
        found = "no soft tissue" if tissue is None else f"most of its tissue at {tissue:.0f} HU"
        text = f"{where} has {found} ({int(study.hu.min())} to {int(study.hu.max())})"
        yield Fault("E_NOT_HU", f"{text}; its values are no Hounsfield units: export it with its rescale")
    elif not reference.found and _height_mm(study) >= _WHOLE_MM:
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


def _size(case: Case, where: str, reference: LungReference) -> Iterator[Fault]:
    """A whole chest with lungs of no person's size: the spacing in the header is wrong."""
    study = case.study
    volume = reference.right_ml + reference.left_ml
    if study.grid.shape[0] < 10 or not reference.found or _height_mm(study) < _WHOLE_MM:
        return
    if not _LUNG_ML[0] <= volume <= _LUNG_ML[1]:
        z, y, x = study.grid.spacing
        text = f"{where} has {volume / 1000:.1f} l of lung at a spacing of {z:.2f} x {y:.2f} x {x:.2f} mm"
        yield Fault("W_SPACING", f"{text}; see whether its header is right")


def _height_mm(study: Study) -> float:
    return study.grid.shape[0] * study.grid.spacing[0]
