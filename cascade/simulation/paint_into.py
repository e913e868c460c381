"""Hybrid studies: clots painted into the contrast-filled arteries of a real scan.

The voxels stay the scanner's: a clot only takes away the brightness that blood had where it lies, so noise, blur and
everything around it are real. Truth is exact where clots were painted; what the scan itself holds stays unknown.

The idea of training on clots painted into real vessels: SPTA (Pulmonary-Embolism-Diagnosis-on-Non-contrast-CT, 2025).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.anatomy.morphology import components, largest
from cascade.core.findings import Exam, Field, Findings
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.simulation import emboli, tree
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.errors import SimulationError
from cascade.simulation.truth import lesions_of

CANVAS_MM = 1.0
TISSUE_HU = 40.0
LEAST_ML = 8.0
THICK_MM, SURE = 4.0, 0.75
"""Least probability of an artery that holds a ball of this radius."""
WIDE_MM, BELOW_MM = 9.0, 5.0
"""A ventricle holds a ball of this radius, this far below the middle of the branches."""
BRIGHTEST = 1.6
"""What is brighter than the arteries' median by this factor is a vein full of contrast, or metal."""
APART_MM = 8.0
"""Painted clots lie at least this far from those that a reader outlined."""
NEAR_MM = 2.0
"""Standard deviation of the neighbourhood that blood's brightness is averaged over."""
SETTINGS = frozenset({"emboli", "burden_ml", "clot_hu", "occlusive", "chronic", "sheets", "widening", "starved"})
"""What of a `Simulation` painted clots follow; all else is the scan's own."""
SMEAR = 3
"""Voxels of the canvas that the scanner smears a vessel's brightness over."""


@dataclass(frozen=True, eq=False)
class Arteries:
    """The bright arteries of a real scan, on a 1 mm canvas; made once, painted into many times.

    Attributes:
        canvas: HU, and the share of each voxel that is arterial blood.
        blood: HU of undiluted blood around each voxel, float32 `[z, y, x]` of the canvas.
        growth: Their tree, rooted where the trunk begins.
        first: Voxel of the study (z, y, x) where the canvas begins.
        zoom: Canvas voxels a study voxel, along (z, y, x).
    """

    canvas: Canvas
    blood: NDArray[np.float32]
    growth: tree.Tree
    first: tuple[int, int, int]
    zoom: tuple[float, float, float]


def find_arteries(
    study: Study, arteries: Field, emboli: Field | None = None, threshold: float = 0.5, darkest: float = 0.55
) -> Arteries:
    """What of a scan's arteries is bright enough to paint clots into.

    Args:
        study: A contrast-enhanced scan.
        arteries: Artery probability, as the segmentation stage records it.
        emboli: What a reader outlined in the scan; painted clots keep away from it.
        threshold: Least probability.
        darkest: Least HU, as a share of the arteries' median HU: what is darker may be a clot already, or no artery.

    Raises:
        SimulationError: Under 8 ml of bright artery was found.
    """
    mask = arteries.full(study.grid.shape) >= round(255 * threshold)
    around = Box.around(mask)
    spacing = study.grid.spacing
    if around is None or mask.sum() * study.grid.voxel_mm3 < 1000 * LEAST_ML:
        raise SimulationError("the scan shows too little artery to paint clots into; choose a contrast-enhanced chest")
    around = around.grow((3, round(8 / spacing[1]), round(8 / spacing[2])), study.grid.shape)
    zoom = (spacing[0] / CANVAS_MM, spacing[1] / CANVAS_MM, spacing[2] / CANVAS_MM)
    hu = _to_canvas(study.hu[around.slices].astype(np.float32), zoom)
    probability = _to_canvas(np.asarray(arteries.full(study.grid.shape)[around.slices] / 255, np.float32), zoom)
    inside = probability >= threshold
    smooth = ndimage.gaussian_filter(hu, 0.8)
    level = float(np.median(smooth[ndimage.binary_erosion(inside)]))
    inside &= (smooth >= max(darkest * level, 100.0)) & (smooth <= BRIGHTEST * level)
    inside = _without_heart(_surely(inside, probability))
    if emboli is not None:
        drawn = emboli.full(study.grid.shape)[around.slices] > 0
        reach = ndimage.distance_transform_edt(~drawn, study.grid.spacing) <= APART_MM
        inside &= _to_canvas(reach.astype(np.float32), zoom) < 0.5
    inside = largest(inside)
    if inside.sum() * CANVAS_MM**3 < 1000 * LEAST_ML:
        raise SimulationError("the scan's arteries are too dark or too broken up to paint clots into")
    blood = _blood(hu, inside)
    share = np.rint(255 * _share(hu, blood, inside)).astype(np.uint8)
    empty = np.zeros(hu.shape, np.uint8)
    # Nothing bright beside an artery gives way when a clot widens it.
    firm = np.where((smooth > 120) & ~inside, LABELS["vein"], LABELS["body"]).astype(np.uint8)
    canvas = Canvas(hu, np.where(inside, np.uint8(LABELS["artery"]), firm), share, empty, empty, CANVAS_MM)
    growth = tree.grow(np.where(inside, np.maximum(share, 128), 0).astype(np.uint8), _root(inside), CANVAS_MM)
    return Arteries(canvas, blood, growth, (around.z0, around.y0, around.x0), zoom)


def paint_into(
    study: Study, truth: Findings, arteries: Arteries, config: Simulation, seed: int
) -> tuple[Study, Findings]:
    """Paint emboli into a real scan.

    Args:
        study: The scan that `arteries` were found in.
        truth: What is known of it; its lungs stay, and so do emboli that a reader outlined.
        arteries: Where clots may lie.
        config: Number, volume and HU of the clots.
        seed: Everything random follows from it.

    Returns:
        A study with the clots, and its truth: emboli, instances, and the painted arteries where clots lie.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    canvas = replace(arteries.canvas, hu=arteries.canvas.hu.copy(), artery=arteries.canvas.artery.copy())
    whole = tuple(slice(0, n) for n in canvas.shape)
    paths = arteries.growth.paths(160, rng)
    box = (whole[0], whole[1], whole[2])
    blur = rng.uniform(0.35, 0.75)  # the scan's own point spread, mm
    fraction, numbers, clots = emboli.paint(
        canvas, box, arteries.blood.copy(), paths, config, rng, blur=blur / CANVAS_MM
    )
    change = canvas.hu - arteries.canvas.hu

    hu = np.array(study.hu)
    mask = np.zeros(hu.shape, np.uint8)
    labels: NDArray[np.unsignedinteger[Any]] = np.zeros(hu.shape, np.uint8)
    corner, shape = arteries.first, _study_shape(change.shape, arteries.zoom, arteries.first, hu.shape)
    part = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    hu[part] = np.clip(np.rint(hu[part] + _to_study(change, arteries.zoom, shape)), -1024, 3071)
    solid = _to_study(fraction.astype(np.float32), arteries.zoom, shape) >= 127.5
    mask[part] = 255 * solid
    nearest = _to_study(
        ndimage.grey_dilation(numbers, size=(3, 3, 3)).astype(np.float32), arteries.zoom, shape, order=0
    )
    labels[part] = np.where(solid, nearest, 0)
    if truth.embolus is not None:
        drawn = truth.embolus.full(hu.shape) > 0
        own, _ = components(drawn)
        mask[drawn] = 255
        labels = np.where(own > 0, own + int(labels.max()), labels).astype(np.uint32)
    right, left = _halves(truth, hu.shape)
    lesions, labels = lesions_of(study.grid, labels, {c.number: c.place for c in clots}, right, left)
    everything = Box(0, hu.shape[0], 0, hu.shape[1], 0, hu.shape[2])
    known = replace(
        truth,
        embolus=Field(mask, everything),
        labels=Field(np.ascontiguousarray(labels), everything),
        lesions=tuple(lesions),
        exam=Exam("positive" if mask.any() else "negative"),
    )
    return Study(hu, study.grid, study.facts, (), study.warnings), known


def _halves(truth: Findings, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What lies right and left of the middle between the lungs; of the picture where no slice shows both."""
    inner = np.full((1, 2), shape[2] / 2) if truth.lungs is None else truth.lungs.boxes[:, (0, 1), (2, 0)]
    both = inner[np.isfinite(inner).all(axis=1)]
    middle = round(float(np.median(both))) if len(both) else shape[2] // 2
    right = np.broadcast_to(np.arange(shape[2]) < middle, shape)
    return right, ~right


def _surely(inside: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The arteries without thick parts that are not sure: aorta and cava, where they are as bright and touch."""
    thick = ndimage.distance_transform_edt(inside) >= THICK_MM / CANVAS_MM
    if not thick.any():
        return inside
    thick = inside & (ndimage.distance_transform_edt(~thick) < THICK_MM / CANVAS_MM)
    sure = ndimage.binary_dilation(thick & (probability >= SURE), iterations=2)
    return np.asarray(inside & (sure | ~thick))


def _without_heart(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The arteries without what is wide and lies below most of their branches: ventricle, not trunk."""
    core = ndimage.distance_transform_edt(inside) >= WIDE_MM / CANVAS_MM
    if not core.any():
        return inside
    away = ndimage.distance_transform_edt(~core) * CANVAS_MM
    branches = np.nonzero(inside & (away > WIDE_MM))[0]
    if not branches.size:
        return inside
    below = np.arange(len(inside)) < np.median(branches) - BELOW_MM / CANVAS_MM
    low = core & below[:, None, None]
    if not low.any():
        return inside
    near = ndimage.distance_transform_edt(~low) * CANVAS_MM <= 2 * WIDE_MM
    return np.asarray(inside & ~(near & below[:, None, None]))


def _root(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where the trunk begins: low and in front, in what is wide."""
    depth = ndimage.distance_transform_edt(inside)
    points = np.argwhere(depth >= 0.6 * depth.max()).astype(float)
    score = points[:, 1] + 0.7 * points[:, 0]
    return np.asarray(points[score <= np.percentile(score, 4)].mean(0))


def _blood(hu: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """HU of blood around each voxel: the mean of the vessels' middles nearby."""
    core = ndimage.binary_erosion(inside)
    core = (core if core.sum() > 500 else inside).astype(np.float32)
    level = float(hu[core > 0].mean())
    # Near enough for blood that mixes unevenly: a clot that takes away more than there is would be darker than fat.
    near = ndimage.gaussian_filter(hu * core, NEAR_MM / CANVAS_MM) + 1e-3 * level
    return np.asarray(near / (ndimage.gaussian_filter(core, NEAR_MM / CANVAS_MM) + 1e-3), np.float32)


def _share(hu: NDArray[np.float32], blood: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of each voxel that is blood: all of it inside, and what the scanner smears of it over the surroundings.

    The smear is followed outwards for as long as it falls, so that it ends where another bright vessel begins. It is
    measured on HU smoothed a little: clots take brightness away by it, and what it misses stays as a bright ring.
    """
    smooth = ndimage.gaussian_filter(hu, 0.5)
    around = np.clip(ndimage.minimum_filter(ndimage.gaussian_filter(hu, 0.8), 5), -900, TISSUE_HU)
    share = np.clip((smooth - around) / np.maximum(blood - around, 50), 0, 1)
    reached = inside.copy()
    front = np.where(inside, smooth, -np.inf)
    for _ in range(SMEAR):
        beside = ndimage.grey_dilation(front, size=(3, 3, 3))
        fresh = ~reached & np.isfinite(beside) & (smooth < beside - 15)
        front = np.where(fresh, smooth, -np.inf)
        reached |= fresh
    share = np.where(ndimage.binary_erosion(inside), 1, share)
    return np.asarray(share * reached, np.float32)


def _to_canvas(part: NDArray[np.float32], zoom: tuple[float, float, float]) -> NDArray[np.float32]:
    shape = tuple(max(1, int(np.floor((n - 1) * z)) + 1) for n, z in zip(part.shape, zoom, strict=True))
    return np.asarray(ndimage.affine_transform(part, 1 / np.array(zoom), output_shape=shape, order=1))


def _to_study(
    part: NDArray[np.float32], zoom: tuple[float, float, float], shape: tuple[int, ...], order: Literal[0, 1] = 1
) -> NDArray[np.float32]:
    return np.asarray(ndimage.affine_transform(part, np.array(zoom), output_shape=shape, order=order, mode="constant"))


def _study_shape(
    canvas: tuple[int, ...], zoom: tuple[float, float, float], first: tuple[int, int, int], whole: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(
        min(int((n - 1) / z) + 1, total - start) for n, z, start, total in zip(canvas, zoom, first, whole, strict=True)
    )
