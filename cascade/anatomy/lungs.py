"""Lungs by threshold and connected components: needs no training, so it labels, checks and backs the detector.

Voxels under -500 HU, joined in 3D inside the body; outside air, the airways and gas in the bowel are taken away.
The work is done on a lattice of 2.5 mm, anchored in patient millimetres; only the last step looks at every voxel.
"""

from __future__ import annotations

from dataclasses import replace

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.airways import airways
from cascade.anatomy.coarse import AIR_THRESHOLD_HU, Lattice, body, inner_air, on_lattice
from cascade.anatomy.morphology import Mask, erode, grown
from cascade.core.findings import Findings, LungReference
from cascade.core.grid import Grid
from cascade.core.progress import Progress
from cascade.core.study import Study

MIN_SIDE_ML = 50.0
"""A side with less is not a lung."""

MIN_SIDE_CM2 = 5.0
"""The same for a study of a few slices: a side fills at least this area over the height of the study."""

_GAS_HU = -960.0  # The core of bowel gas and of outside air lies below this, that of emphysematous lung above.
_PADDING_HU = -1100  # Nothing scanned is darker.
_FRAGMENT = 0.15  # A component under this share of the largest is a piece of lung only on further conditions.
_FRAGMENT_GAS_HU = -940.0
_SLICE_CM2 = 1.0  # Less lung than this on a slice is no box.

Labels = NDArray[np.uint8]


def find_lungs(study: Study) -> LungReference:
    """Find both lungs of a study; empty where there are none.

    Returns:
        Sides, boxes and volumes; a side under 50 ml (in a study lower than 10 cm: under 5 cm2 times its height)
        counts as none.
    """
    lattice = on_lattice(study)
    air = inner_air(lattice)
    lungs = _lung_components(lattice, air & ~airways(lattice, air))
    sides = _sides(lattice, lungs)
    least = min(MIN_SIDE_ML, MIN_SIDE_CM2 * lattice.height_cm)
    for side in (1, 2):
        if np.count_nonzero(sides == side) * lattice.voxel_ml < least:
            sides[sides == side] = 0
    fine = _refine(study, lattice, sides, air)
    ml = [float(np.count_nonzero(fine == side)) * study.grid.voxel_mm3 / 1000 for side in (1, 2)]
    found = LungReference(fine, _boxes(fine, study.grid), ml[0], ml[1])
    found.sides.flags.writeable = found.boxes.flags.writeable = False
    return found


def reference_of(study: Study, findings: Findings) -> LungReference:
    """The lungs by threshold: as the findings hold them, else found now (in training, or for a stage on its own)."""
    return find_lungs(study) if findings.reference is None else findings.reference


class LungFinder:
    """The first stage of a cascade, the one without networks.

    Reads     study.hu int16 `[z, y, x]`, HU
    Returns   findings.reference
    """

    name = "lung_finder"

    def __call__(self, study: Study, findings: Findings, progress: Progress | None = None) -> Findings:
        """Find both lungs by threshold; they may be empty."""
        found = replace(findings, reference=find_lungs(study))
        if progress is not None:
            progress(self.name, 1, 1)
        return found


def body_centre(study: Study) -> tuple[float, float]:
    """Centre of the body in the slice plane as voxels (y, x), the same however much air or table lies around it.

    The middle of a study's slice where it shows no body.
    """
    lattice = on_lattice(study, every_mm=10.0)
    patient = body(lattice)
    if not patient.any():
        return (study.grid.shape[1] - 1) / 2, (study.grid.shape[2] - 1) / 2
    # The median of slice centres: one slice with an arm or a piece of table does not move it.
    centres = [
        np.argwhere(plane).mean(axis=0) for plane in patient if plane.sum() > 0.25 * patient.sum(axis=(1, 2)).max()
    ]
    i, j = np.median(np.array(centres), axis=0)
    return float(lattice.origin[0] + i * lattice.step[0]), float(lattice.origin[1] + j * lattice.step[1])


def _lung_components(lattice: Lattice, air: Mask) -> Mask:
    """Components with the size of a lung and with more than gas inside, and fragments that belong to them."""
    labels = cc3d.connected_components(air, connectivity=6)
    statistics = cc3d.statistics(labels)
    size = statistics["voxel_counts"].astype(np.int64)
    size[0] = 0
    core = erode(air, 1)
    edge = np.stack([grown(plane) for plane in ~lattice.valid])
    least = max(min(5.0, lattice.height_cm) / lattice.voxel_ml, 1)
    keep = np.zeros(len(size), bool)
    mains: list[tuple[slice, slice, slice]] = []
    largest = 0
    for n in sorted(np.flatnonzero(size >= least), key=lambda n: -size[n]):
        box = statistics["bounding_boxes"][n]
        part = labels[box] == n
        values = lattice.hu[box]
        inside = part & core[box]
        if not inside.any() or float(np.median(values[inside])) < _GAS_HU:
            continue
        if size[n] >= _FRAGMENT * largest:
            largest = max(largest, int(size[n]))
            mains.append(box)
            keep[n] = True
            continue
        # Bowel lies below the lungs or holds purer gas; arms, blankets and tables enclose air outside or at the edge.
        within = part[_overlap(box, mains)].sum() > 0.5 * size[n]
        gas = float(np.percentile(values[part], 10)) < _FRAGMENT_GAS_HU
        keep[n] = within and not gas and not (part & edge[box]).any()
    return np.asarray(keep[labels])


def _overlap(box: tuple[slice, slice, slice], mains: list[tuple[slice, slice, slice]]) -> tuple[slice, ...]:
    """The part of a box that lies in the box around `mains`, counted from its own corner."""
    return tuple(
        slice(
            max(min(m[a].start for m in mains) - box[a].start, 0),
            max(max(m[a].stop for m in mains) - box[a].start, 0),
        )
        for a in range(3)
    )


def _sides(lattice: Lattice, lungs: Mask) -> Labels:
    """Right (1) and left (2) of the lungs' points; lungs that touch are parted where erosion parts them."""
    sides = np.zeros(lungs.shape, np.uint8)
    if not lungs.any():
        return sides
    middle = _midline(lattice, lungs)
    for radius in range(6):
        seeds = lungs if radius == 0 else erode(lungs, radius)
        labels = cc3d.connected_components(seeds, connectivity=6)
        size = np.bincount(labels.ravel())
        size[0] = 0
        centres = cc3d.statistics(labels)["centroids"][:, 2]
        big = np.flatnonzero(size > 0.1 * size.sum())
        if size.sum() and not any(_spans(labels == n, middle) for n in big):
            break
    else:
        # Nothing parts them: the midline does.
        labels = np.where(lungs, 1 + (np.arange(lungs.shape[2]) > middle)[None, None, :], 0)
        size = np.bincount(labels.ravel(), minlength=3)
        centres = np.array([0, middle - 1, middle + 1])
        big = np.array([1, 2])
    if len(big) == 2 and min(size[big]) > 0.3 * max(size[big]):
        # Two lungs: the order along x decides, wherever the midline is thought to be.
        order = big[np.argsort(centres[big])]
        middle = float(centres[order].mean())
    limit = np.full(len(size), _midline(lattice, lungs))
    limit[big] = middle
    right = np.isin(labels, np.flatnonzero(centres < limit)) & (labels > 0)
    left = (labels > 0) & ~right
    for k, plane in enumerate(lungs):
        if plane.any():
            sides[k][plane] = np.where(_distance(right, k) <= _distance(left, k), 1, 2)[plane]
    return sides


def _spans(part: Mask, middle: float) -> bool:
    """Whether a component lies on both sides of the midline to a good part."""
    share = part[:, :, : round(middle)].sum() / max(part.sum(), 1)
    return bool(0.2 < share < 0.8)


def _distance(seeds: Mask, k: int) -> NDArray[np.float32]:
    """Distance of the points of slice `k` to the seeds of the nearest slice that has some."""
    filled = np.flatnonzero(seeds.any(axis=(1, 2)))
    if not filled.size:
        return np.full(seeds.shape[1:], 1e6, np.float32)
    nearest = int(filled[np.argmin(np.abs(filled - k))])
    far = cv2.distanceTransform(np.logical_not(seeds[nearest]).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(far + abs(nearest - k), dtype=np.float32)


def _midline(lattice: Lattice, lungs: Mask) -> float:
    """Column of the body's middle, from the slices that show lung."""
    shown = body(lattice) & np.asarray(lungs.any(axis=(1, 2)))[:, None, None]
    columns = np.nonzero(shown if shown.any() else lungs)[2]
    low, high = np.percentile(columns, (2, 98))
    return float(low + high) / 2


def _refine(study: Study, lattice: Lattice, sides: Labels, air: Mask) -> Labels:
    """Sides of the study's own voxels: those under the threshold within one lattice point of the coarse lungs."""
    fine = np.zeros(study.hu.shape, np.uint8)
    nearest = np.abs(np.arange(study.hu.shape[0])[:, None] - np.array(lattice.z)[None, :]).argmin(axis=1)
    # The lattice runs from origin by step: the inverse is a warp with nearest neighbours.
    matrix = np.array(
        [
            [1 / lattice.step[1], 0, -lattice.origin[1] / lattice.step[1]],
            [0, 1 / lattice.step[0], -lattice.origin[0] / lattice.step[0]],
        ]
    )
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    rows, columns = study.hu.shape[1:]
    for k in np.unique(nearest):
        if not sides[k].any():
            continue
        near = cv2.dilate(sides[k], np.ones((3, 3), np.uint8))
        # Points beside padding were not judged: there the lung goes on for two.
        wider = cv2.dilate(sides[k], np.ones((5, 5), np.uint8))
        near = np.where(lattice.valid[k], near, wider)
        near[air[k] & (sides[k] == 0)] = 0
        near[sides[k] > 0] = sides[k][sides[k] > 0]
        wide = cv2.warpAffine(near, matrix, (columns, rows), flags=flags)
        for z in np.flatnonzero(nearest == k):
            low = (study.hu[z] < AIR_THRESHOLD_HU) & (study.hu[z] > _PADDING_HU)
            np.multiply(wide, low, out=fine[z])
    return fine


def _boxes(sides: Labels, grid: Grid) -> NDArray[np.float32]:
    boxes = np.full((len(sides), 2, 4), np.nan, np.float32)
    least = _SLICE_CM2 * 100 / (grid.spacing[1] * grid.spacing[2])
    for z, plane in enumerate(sides):
        for side in (1, 2):
            part = plane == side
            if np.count_nonzero(part) < least:
                continue
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            boxes[z, side - 1] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
