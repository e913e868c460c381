"""Components of the embolus probability, and what speaks for and against each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.anatomy.morphology import components, largest
from cascade.core.findings import Field, Findings, Quality, Side
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.fusion.parameters import LesionModel

Values = NDArray[np.float64]

_FAR_MM = 50.0  # Farther from the arteries than this is far.
_LEAST_DARKER_HU = 10.0  # A candidate that is no darker than blood is as much as this.
_USUAL_NOISE_HU = 20.0
_COARSE_MM = 3.0  # Distances to the arteries are taken on a lattice of about this width.


@dataclass(frozen=True, eq=False)
class Candidates:
    """Components `1..n`, as arrays `[n]`.

    Attributes:
        labels: uint32 component numbers `[z, y, x]` of the box; 0 is background.
        box: Where they lie in the study's grid.
        voxels: Counts.
        volume_mm3: Volumes.
        expected_mm3: Volumes by the voxels' probabilities.
        peak: Highest embolus probability.
        mean: Mean embolus probability.
        artery: Mean artery probability; NaN where unknown.
        in_tree: 1 where the component touches the largest connected tree of arteries and clots; NaN where unknown, or
            where the model does not ask.
        tree_mm: Distance to that tree; likewise.
        std: Mean disagreement of the ensemble's members; NaN where unknown.
        hu: Median HU; NaN where the study is not at hand.
        centroid: Voxels `[n, 3]` (z, y, x) of the grid.
        first: First slice.
        last: Last slice, inclusive.
    """

    labels: NDArray[np.uint32]
    box: Box
    voxels: NDArray[np.int64]
    volume_mm3: Values
    expected_mm3: Values
    peak: Values
    mean: Values
    artery: Values
    in_tree: Values
    tree_mm: Values
    std: Values
    hu: Values
    centroid: Values
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.voxels)

    @cached_property
    def parts(self) -> list[tuple[slice, ...]]:
        """The part of the box that holds each component, along z, y, x."""
        return list(ndimage.find_objects(self.labels.astype(np.int32)))

    def inputs(self, quality: Quality | None = None) -> dict[str, Values]:
        """The lesion model's inputs, each `[n]`; NaN where unknown.

        Args:
            quality: HU of the blood in the arteries, and noise, where they were measured.
        """
        blood, noise = (quality.artery_hu, quality.noise_hu) if quality else (None, None)
        darker = np.full(len(self), np.nan) if blood is None else blood - self.hu
        return {
            "expected": np.log1p(self.expected_mm3),
            "contrast": np.log(np.maximum(darker, _LEAST_DARKER_HU) / max(noise or _USUAL_NOISE_HU, 1.0)),
            "volume": np.log(np.maximum(self.volume_mm3, 1.0)),
            "peak": logit(self.peak, 0.01),
            "mean": logit(self.mean, 0.01),
            "artery": self.artery,
            "in_tree": self.in_tree,
            "near_tree": -np.minimum(self.tree_mm, _FAR_MM) / 10,
            "agreement": -self.std * 10,
        }


def logit(p: NDArray[Any] | float, margin: float = 1e-3) -> Values:
    """Log-odds, with probabilities kept `margin` away from 0 and 1."""
    p = np.clip(np.asarray(p, dtype=np.float64), margin, 1 - margin)
    return np.asarray(np.log(p / (1 - p)))


def find(findings: Findings, model: LesionModel, study: Study | None = None) -> Candidates | None:
    """The components of a study's embolus probability; None where nobody looked for emboli.

    Args:
        findings: With embolus probability, and what else the stages say of voxels.
        model: How sure and how large a component must be.
        study: For the components' HU.
    """
    field = findings.embolus
    if field is None:
        return None
    mask = field.values >= max(round(model.grow * 255), 1)
    labels = np.zeros(mask.shape, np.uint32)
    inner = Box.around(mask)
    if inner is not None:
        labels[inner.slices] = components(mask[inner.slices])[0]
    keep = _kept(labels, field.values, model, findings.grid)
    labels = keep[labels]
    return _measure(labels, findings, field, study, bool({"in_tree", "near_tree"} & set(model.coefficients)))


def _kept(labels: NDArray[np.uint32], values: NDArray[Any], model: LesionModel, grid: Grid) -> NDArray[np.uint32]:
    """New number of each component, 0 for one without a seed or too small."""
    inside = np.flatnonzero(labels)
    number = labels.ravel()[inside]
    count = int(labels.max(initial=0)) + 1
    size = np.bincount(number, minlength=count) * grid.voxel_mm3
    peak = np.zeros(count)
    np.maximum.at(peak, number, values.ravel()[inside])
    good = (size >= model.min_volume_mm3) & (peak >= round(model.seed * 255))
    good[0] = False
    renumbered = np.zeros(count, np.uint32)
    renumbered[good] = np.arange(1, good.sum() + 1, dtype=np.uint32)
    return renumbered


def _measure(
    labels: NDArray[np.uint32], findings: Findings, field: Field, study: Study | None, tree: bool = False
) -> Candidates:
    grid, count = findings.grid, int(labels.max(initial=0))
    inside = np.flatnonzero(labels)
    number = labels.ravel()[inside].astype(np.int64) - 1
    voxels = np.bincount(number, minlength=count)
    p = field.values.ravel()[inside] / 255.0
    peak = np.zeros(count)
    np.maximum.at(peak, number, p)
    where = np.stack(np.unravel_index(inside, labels.shape)) + np.array(
        [[field.box.z0], [field.box.y0], [field.box.x0]]
    )
    centroid = np.stack([_mean(number, axis, voxels) for axis in where], axis=1)
    first, last = np.full(count, grid.shape[0]), np.full(count, -1)
    np.minimum.at(first, number, where[0])
    np.maximum.at(last, number, where[0])
    unknown = np.full(count, np.nan)
    # The tree takes longer than all else together, and no model is fitted on it any more.
    in_tree, tree_mm = _tree(labels, findings, field, centroid) if tree else (unknown, unknown.copy())
    return Candidates(
        labels=labels,
        box=field.box,
        voxels=voxels,
        volume_mm3=np.asarray(voxels * grid.voxel_mm3, dtype=np.float64),
        expected_mm3=np.asarray(np.bincount(number, weights=p, minlength=count) * grid.voxel_mm3, np.float64),
        peak=peak,
        mean=_mean(number, p, voxels),
        artery=_mean_of(findings.arteries, field.box, inside, number, voxels),
        in_tree=in_tree,
        tree_mm=tree_mm,
        std=_mean_of(findings.std, field.box, inside, number, voxels),
        hu=_median_hu(study, field.box, inside, number, count),
        centroid=centroid,
        first=first,
        last=last,
    )


def _mean(number: NDArray[np.int64], values: NDArray[Any], voxels: NDArray[np.int64]) -> Values:
    return np.bincount(number, weights=values, minlength=len(voxels)) / np.maximum(voxels, 1)


def _mean_of(
    field: Field | None, box: Box, inside: NDArray[np.intp], number: NDArray[np.int64], voxels: NDArray[np.int64]
) -> Values:
    if field is None or field.box != box:
        return np.full(len(voxels), np.nan)
    return _mean(number, field.values.ravel()[inside] / 255.0, voxels)


def _median_hu(
    study: Study | None, box: Box, inside: NDArray[np.intp], number: NDArray[np.int64], count: int
) -> Values:
    """Of each component's voxels: half of a component may lie at its rim, where blood or lung shine in."""
    medians = np.full(count, np.nan)
    if study is None or not count:
        return medians
    hu = study.hu[box.slices].ravel()[inside]
    order = np.lexsort((hu, number))
    starts = np.searchsorted(number[order], np.arange(count + 1))
    middle = (starts[:-1] + starts[1:] - 1) // 2
    return np.asarray(hu[order][middle], dtype=np.float64)


def outlined(candidates: Candidates, findings: Findings, share: float) -> Candidates:
    """The same components with those voxels alone that reach a share of their component's highest probability.

    What is looked for is faint, and so are its edges: a candidate is sought at a low probability, and drawn at one
    that goes with how sure it is.
    """
    field = findings.embolus
    if field is None or not share or not len(candidates):
        return candidates
    least = np.concatenate([[np.inf], share * candidates.peak * 255])
    labels = np.where(field.values >= least[candidates.labels], candidates.labels, np.uint32(0))
    return replace(_measure(labels, findings, field, None), hu=candidates.hu)


def _tree(labels: NDArray[np.uint32], findings: Findings, field: Field, centroid: Values) -> tuple[Values, Values]:
    """Whether each component touches the largest tree of arteries and clots, and its distance to it in mm."""
    count = len(centroid)
    unknown = np.full(count, np.nan)
    if findings.arteries is None or findings.arteries.box != field.box:
        return unknown, unknown.copy()
    vessels = (findings.arteries.values >= 128) | (labels > 0)
    tree = largest(vessels)
    if not count or not tree.any():
        return np.zeros(count), np.full(count, _FAR_MM)
    touches = np.zeros(count)
    touches[np.unique(labels[tree & (labels > 0)]).astype(np.int64) - 1] = 1.0
    step = [max(int(_COARSE_MM // s), 1) for s in findings.grid.spacing]
    starts = [np.arange(0, n, k) for n, k in zip(tree.shape, step, strict=True)]
    coarse = tree
    for axis, start in enumerate(starts):
        coarse = np.logical_or.reduceat(coarse, start, axis=axis)
    spacing = [s * k for s, k in zip(findings.grid.spacing, step, strict=True)]
    far = ndimage.distance_transform_edt(~coarse, sampling=spacing)
    corner = np.array([field.box.z0, field.box.y0, field.box.x0])
    index = np.clip(((centroid - corner) / step).astype(int), 0, np.array(coarse.shape) - 1)
    distance = np.where(touches > 0, 0.0, far[tuple(index.T)])
    return touches, np.asarray(distance, dtype=np.float64)


def side_of(candidates: Candidates, number: int, findings: Findings) -> Side:
    """The side of the patient on which component `number` lies; "both" where a fifth or more lies on each."""
    middle = midline(findings, float(candidates.centroid[number - 1, 0]))
    if middle is None:
        middle = (findings.grid.shape[2] - 1) / 2
    low, high = candidates.first[number - 1], candidates.last[number - 1] + 1
    part = candidates.labels[low - candidates.box.z0 : high - candidates.box.z0] == number
    columns = part.any(axis=(0, 1)).nonzero()[0]
    share = part[:, :, : max(round(middle) - candidates.box.x0, 0)].sum() / max(candidates.voxels[number - 1], 1)
    if columns.size and 0.2 <= share <= 0.8:
        return "both"
    return "right" if share > 0.5 else "left"


def midline(findings: Findings, z: float) -> float | None:
    """Column midway between the inner edges of both lungs near slice `z`; None where no slice shows both."""
    if findings.lungs is None:
        return None
    boxes = findings.lungs.boxes
    both = np.flatnonzero(np.isfinite(boxes).all(axis=(1, 2)))
    if not both.size:
        return None
    near = both[np.abs(both - z) * findings.grid.spacing[0] <= 20]
    chosen = near if near.size else both
    return float(np.median((boxes[chosen, 0, 2] + boxes[chosen, 1, 0]) / 2))


def score(model: LesionModel, inputs: Mapping[str, Values], count: int) -> Values:
    """Log-odds of each component being an embolus `[n]`; 0 everywhere where the model was not fitted."""
    total = np.full(count, model.intercept, dtype=np.float64)
    for name, weight in model.coefficients.items():
        base = model.baselines.get(name, 0.0)
        value = inputs[name]
        total += weight * (np.where(np.isfinite(value), value, base) - base)
    return total
