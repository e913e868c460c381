"""Truth as findings: the belief of someone who knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.core.findings import Exam, Field, Findings, Lesion, Lungs, Quality, Side, Slices
from cascade.core.grid import Box, Grid
from cascade.core.truth import KNOWN
from cascade.simulation.canvas import LABELS

LUNG_PARTS = tuple(LABELS[n] for n in ("lung", "artery", "vein", "airway", "consolidation", "effusion"))
MARGIN_MM = 10.0
SLICE_CM2 = 5.0


def findings(
    grid: Grid,
    labels: NDArray[np.uint8],
    instance: NDArray[np.uint8],
    places: Mapping[int, str],
    contrast_hu: float,
    noise_hu: float,
    old: Collection[int] = (),
    rv_lv: float = 1.0,
) -> tuple[Findings, list[dict[str, Any]]]:
    """Truth of a simulated study, and its lesions as rows for exam.json.

    Args:
        grid: The study's.
        labels: Anatomy map `[z, y, x]`.
        instance: Number of the clot in each voxel `[z, y, x]`, 0 for none; numbers may have gaps.
        places: Place of each number: central, lobar, segmental, subsegmental.
        contrast_hu: Pulmonary trunk, HU.
        noise_hu: Standard deviation of noise, HU.
        old: Numbers of the clots that look as chronic ones do.
        rv_lv: Ratio of the ventricles' widths, right to left.
    """
    right, left = sides(labels)
    boxes = np.full((grid.shape[0], 2, 4), np.nan, np.float32)
    area = np.zeros(grid.shape[0])
    pixel_cm2 = grid.spacing[1] * grid.spacing[2] / 100
    for i, side in enumerate((right, left)):
        for z in np.flatnonzero(side.any((1, 2))):
            ys, xs = np.flatnonzero(side[z].any(1)), np.flatnonzero(side[z].any(0))
            boxes[z, i] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    lung = right | left
    area = lung.sum((1, 2)) * pixel_cm2
    found = Box.around(lung)
    margin = tuple(int(np.ceil(MARGIN_MM / s)) for s in grid.spacing)
    region = None if found is None else found.grow((margin[0], margin[1], margin[2]), grid.shape)
    clot_box = Box.around(instance)
    if clot_box is not None:
        region = clot_box if region is None else region.join(clot_box)
    box = region or Box(0, 1, 0, 1, 0, 1)
    lesions, named = lesions_of(grid, instance, places, right, left)
    chronic = [bool(number in old) for number in np.unique(instance[instance > 0])]
    pe: NDArray[np.float32] = np.asarray(instance.any((1, 2)), np.float32)
    artery = np.where(labels[box.slices] == LABELS["artery"], 255, 0).astype(np.uint8)
    exam = Exam(
        decision="positive" if lesions else "negative",
        probability=1.0 if lesions else 0.0,
        reason="simulated truth",
        labels=_exam_labels(lesions, chronic, rv_lv),
    )
    truth = Findings(
        grid=grid,
        lungs=Lungs(boxes, region),
        slices=Slices((area >= SLICE_CM2).astype(np.float32), {KNOWN: pe}),
        embolus=Field(np.where(named[box.slices] > 0, 255, 0).astype(np.uint8), box),
        labels=Field(np.ascontiguousarray(named[box.slices]), box),
        arteries=Field(artery, box),
        lesions=tuple(lesions),
        exam=exam,
        quality=Quality(
            chest=True, lung_ml=float(lung.sum() * grid.voxel_mm3 / 1000), contrast_hu=contrast_hu, noise_hu=noise_hu
        ),
    )
    return truth, rows_of(lesions)


def rows_of(lesions: Iterable[Lesion]) -> list[dict[str, Any]]:
    """Lesions as exam.json lists them."""
    return [
        {"number": n.number, "volume_mm3": round(n.volume_mm3, 2), "place": n.place, "side": n.side} for n in lesions
    ]


def sides(labels: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Right and left lung with what lies in them, bool `[z, y, x]`; the border is each slice's middle gap."""
    lung = (labels == LABELS["lung"]) | (labels == LABELS["consolidation"]) | (labels == LABELS["effusion"])
    columns = lung.sum(1).astype(np.float64)  # [z, x]
    nx = labels.shape[2]
    x = np.arange(nx)
    total = columns.sum(0)
    centre = float((total * x).sum() / max(total.sum(), 1))
    near = np.abs(x - centre) <= 0.12 * nx
    smooth = np.stack([np.convolve(row, np.ones(9) / 9, "same") for row in columns])
    smooth = smooth + 0.02 * np.abs(x - centre)[None, :] + np.where(near, 0, 1e6)[None, :]
    cut = smooth.argmin(1)
    kernel = np.ones(9) / 9
    cut = np.convolve(np.pad(cut, 4, mode="edge"), kernel, "valid")
    is_right = x[None, None, :] < cut[:, None, None]
    return lung & is_right, lung & ~is_right


def lesions_of(
    grid: Grid,
    instance: NDArray[np.unsignedinteger[Any]],
    places: Mapping[int, str],
    right: NDArray[np.bool_],
    left: NDArray[np.bool_],
) -> tuple[list[Lesion], NDArray[np.unsignedinteger[Any]]]:
    """Lesions by falling volume, and the map numbered like them.

    Args:
        grid: The study's.
        instance: Number of the clot in each voxel `[z, y, x]`, 0 for none.
        places: Place of each number, where known.
        right: The right lung `[z, y, x]`, or what lies right of the middle.
        left: The left lung, likewise.
    """
    counts = np.bincount(instance.ravel())
    numbers = sorted((int(n) for n in np.flatnonzero(counts) if n), key=lambda n: (-int(counts[n]), n))
    # A reader's outlines may be of more pieces than a byte counts.
    renumber = np.zeros(len(counts), np.uint8 if len(numbers) < 256 else np.uint16)
    found = ndimage.find_objects(instance)
    lesions = []
    for new, old in enumerate(numbers, start=1):
        renumber[old] = new
        part = found[old - 1]
        at = np.argwhere(instance[part] == old) + np.array([s.start for s in part])
        z = at[:, 0]
        centroid = grid.to_mm(at.mean(0))
        lesions.append(
            Lesion(
                number=new,
                voxels=len(at),
                volume_mm3=float(len(at) * grid.voxel_mm3),
                probability=1.0,
                probability_max=1.0,
                probability_mean=1.0,
                centroid_mm=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
                slices=(int(z.min()), int(z.max())),
                side=_side(at, right, left),
                artery=1.0,
                place=places.get(old),
            )
        )
    return lesions, renumber[instance]


def _side(at: NDArray[np.intp], right: NDArray[np.bool_], left: NDArray[np.bool_]) -> Side:
    """Of the patient's middle, with a band in between where a clot reaches across."""
    rows = np.unique(at[:, 0])
    edge_r = [np.flatnonzero(right[z].any(0)).max(initial=-1) for z in rows]
    edge_l = [np.flatnonzero(left[z].any(0)).min(initial=right.shape[2]) for z in rows]
    middle = float(np.median((np.array(edge_r) + np.array(edge_l)) / 2))
    share = float((at[:, 2] < middle).mean())
    return "right" if share > 0.85 else "left" if share < 0.15 else "both"


def _exam_labels(lesions: Sequence[Lesion], chronic: Sequence[bool], rv_lv: float) -> dict[str, float]:
    """The nine exam labels of RSNA's challenge, by its rules: what describes emboli is 0 where there are none."""
    where = {n.side for n in lesions}
    wide = rv_lv >= 1
    told = {
        "negative_exam_for_pe": not lesions,
        "indeterminate": False,
        "rightsided_pe": bool(where & {"right", "both"}),
        "leftsided_pe": bool(where & {"left", "both"}),
        "central_pe": any(n.place == "central" for n in lesions),
        "chronic_pe": bool(chronic) and all(chronic),
        "acute_and_chronic_pe": any(chronic) and not all(chronic),
        "rv_lv_ratio_gte_1": bool(lesions) and wide,
        "rv_lv_ratio_lt_1": bool(lesions) and not wide,
    }
    return {label: float(value) for label, value in told.items()}
