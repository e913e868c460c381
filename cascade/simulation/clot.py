"""The shape of one clot in an artery: how far it runs along the branches, and how it lies across them."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cascade.anatomy.morphology import components
from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.shapes import F32, Box, Points
from cascade.simulation.tree import Path

Kind = Literal["occlusive", "central", "crescent", "mural", "sheet", "web"]
"""Fills the lumen; floats in it, blood all around; touches the wall on one side; flat against the wall; a flat band
across a wide artery, often over its fork; an old, thin membrane."""

LONGEST_MM = 150.0
TWIG_MM = 1.4
"""In thinner arteries nobody sees a clot."""
FAR_MM = 9.0
SEEN = 0.7
"""Occupancy of an artery from which its voxels begin to count as clot: readers draw where a voxel is nearly all vessel,
and leave out what is half lung (real masks reach down to -50 HU). Half a voxel counts at the middle of this and 1."""
YIELDS = ("artery", "body", "lung", "node", "consolidation", "airway")
"""What a widened artery may push aside."""


@dataclasses.dataclass(frozen=True)
class Net:
    """All ways along the middle of the arteries, each place once.

    Attributes:
        paths: The ways, from the root outwards.
        points: Places (z, y, x), voxels of the canvas, `[n, 3]`.
        radius: Radius of the artery, mm, `[n]`.
        along: Distance from the root, mm, `[n]`.
        tangent: Direction of the artery, unit vectors `[n, 3]`.
        steps: The place of each step of each way, ways one after another.
        central: Which places are the middle of their artery; in wide ones ways run side by side.
        fork_mm: Distance from the root at which the ways part into right and left.
    """

    paths: list[Path]
    points: Points
    radius: NDArray[np.float64]
    along: NDArray[np.float64]
    tangent: Points
    steps: NDArray[np.intp]
    central: NDArray[np.bool_]
    fork_mm: float

    @classmethod
    def of(cls, paths: list[Path], mm: float) -> Net:
        """The net of some ways on a canvas of `mm` voxels."""
        nodes = np.concatenate([p.nodes for p in paths])
        _, first, steps = np.unique(nodes, return_index=True, return_inverse=True)
        points, radius, along = (np.concatenate([getattr(p, n) for p in paths]) for n in ("points", "radius", "along"))
        tangent = _units(np.concatenate([np.gradient(p.points, axis=0) for p in paths]))
        points, radius, along = points[first], radius[first], along[first]
        central = _central(points * mm, radius, along)
        return cls(paths, points, radius, along, tangent[first], steps, central, _fork(paths, mm))


def seen(artery: F32) -> F32:
    """The part of an artery's occupancy that counts where a clot fills it, 0..1."""
    return np.asarray(np.clip((artery - SEEN) / (1 - SEEN), 0, 1), np.float32)


def _central(places_mm: Points, radius: NDArray[np.float64], along: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which places have none beside them that is deeper inside the artery."""
    central = np.ones(len(radius), bool)
    wide = np.flatnonzero(radius > 4)
    if not wide.size:
        return central
    first, second = wide[cKDTree(places_mm[wide]).query_pairs(8.0, output_type="ndarray")].T
    gap = np.linalg.norm(places_mm[first] - places_mm[second], axis=1)
    beside = np.abs(along[first] - along[second]) < 0.5 * gap
    rise = radius[second] - radius[first]
    central[first[beside & (rise > 0.1 * gap)]] = False
    central[second[beside & (rise < -0.1 * gap)]] = False
    return central


def _fork(paths: list[Path], mm: float) -> float:
    """Where the ways are 12 mm from their common middle."""
    for at in np.arange(2.0, 90.0, 2.0):
        here = np.array([p.points[np.searchsorted(p.along, at)] for p in paths if p.along[-1] > at])
        if not len(here) or np.sqrt(((here - here.mean(0)) ** 2).sum(1).mean()) * mm > 12:
            return float(at)
    return 0.0


@dataclasses.dataclass(frozen=True)
class Ways:
    """Places along the middle of the arteries, and which of them a clot may fill.

    Attributes:
        points: Places (z, y, x), voxels of the canvas, `[n, 3]`.
        radius: Radius of the artery, mm, `[n]`.
        key: Distance from the clot's seed along the artery, mm; infinite where the clot may not lie.
        side: Unit vector across the artery, turning little along it, `[n, 3]`.
        across: The other one, `[n, 3]`.
    """

    points: Points
    radius: NDArray[np.float64]
    key: NDArray[np.float64]
    side: Points
    across: Points


@dataclasses.dataclass(frozen=True)
class Clot:
    """What a clot does to the canvas, in a box of it.

    Attributes:
        box: Where.
        region: Share of each voxel that lies on the clot's side of its surface, 0..1, lumen or not.
        artery: Occupancy of the artery with the clot in it, 0..1: where it is wider than before, above the canvas'.
    """

    box: Box
    region: F32
    artery: F32


def ways(
    net: Net, way: int, seed: int, kind: Kind, valve_mm: float, reach_mm: float, mm: float, rng: np.random.Generator
) -> Ways:
    """Where a clot may run that starts at place `seed` of the net's path `way`.

    Args:
        net: All ways along the arteries.
        way: The clot lies on this one.
        seed: At this place of it.
        kind: What fills the lumen runs on into nearly every branch; others into some.
        valve_mm: No clot nearer to the root than this.
        reach_mm: How far it may run.
        mm: Voxel of the canvas.
        rng: Source of every draw.
    """
    main = net.paths[way]
    bias = rng.uniform(0.6, 1.6)  # clots reach further one way than the other
    ahead, behind = {"occlusive": (0.9, 0.6), "sheet": (0.8, 0.8)}.get(kind, (0.45, 0.3))
    lengths = [len(p.nodes) for p in net.paths]
    shared = [int((p.nodes[: len(main.nodes)] == main.nodes[: len(p.nodes)]).sum()) - 1 for p in net.paths]
    same = np.repeat(shared, lengths)
    turn = np.minimum(same, seed)
    place = np.concatenate([np.arange(n) for n in lengths])
    far = net.along[net.steps]
    key = bias * (main.along[seed] - np.minimum(main.along[turn], far)) + np.maximum(far - main.along[turn], 0)
    drawn = rng.random(len(lengths)) < np.where(np.array(shared) >= seed, ahead, behind)
    drawn[way] = True
    best = np.full(len(net.points), np.inf)
    enters = (place <= same) | np.repeat(drawn, lengths)
    np.minimum.at(best, net.steps[enters], key[enters])
    # Ways run side by side in wide arteries: what lies in the same lumen belongs to the clot as well.
    own = np.flatnonzero(np.isfinite(best))
    other = np.flatnonzero(~np.isfinite(best))
    answer: Any = cKDTree(net.points[own]).query(net.points[other])
    gap, nearest = answer
    twin = gap * mm < net.radius[own[nearest]]
    best[other[twin]] = best[own[nearest[twin]]] + gap[twin] * mm
    best[(net.along < valve_mm) | (best > reach_mm) | (net.radius < TWIG_MM)] = np.inf
    middle = net.central
    tangent = net.tangent[middle]
    side = _units(np.cross(tangent, shapes.unit(rng.standard_normal(3))))
    return Ways(net.points[middle], net.radius[middle], best[middle], side, _units(np.cross(tangent, side)))


def _units(vectors: Points) -> Points:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6))


def form(
    canvas: Canvas, along: Ways, kind: Kind, volume_ml: float, widening: float, taken: F32,
    rng: np.random.Generator,
) -> Clot | None:  # fmt: skip
    """Form a clot of about `volume_ml` around the seed; None where no room is.

    Args:
        canvas: Its arteries.
        along: Where the clot may run.
        kind: How it lies across the lumen.
        volume_ml: How far it runs: until this is filled.
        widening: By how much of its radius the artery widens where the clot fills it and soft tissue lets it; a clot
            that fills the lumen and widens nothing leaves a trace of blood along parts of the wall.
        taken: Share of each voxel's blood that other clots have taken the place of, 0..1.
        rng: Source of every draw.
    """
    mm = canvas.mm
    own = np.isfinite(along.key)
    if own.sum() < 2:
        return None
    pad = 1.5 * along.radius[own].max() / mm + 4
    box = shapes.box_around(canvas.shape, along.points[own].min(0) - pad, along.points[own].max(0) + pad)
    if box is None:
        return None
    artery: F32 = np.asarray(canvas.artery[box] / np.float32(255), np.float32)
    lumen = artery >= 0.5
    if not lumen.any():
        return None
    film = kind == "occlusive" and not widening
    shell = min(widening * along.radius[own].max() + 1.2 * mm, 4.0) if widening else 0.0
    depth = _depth(lumen, mm, inner=film or kind in ("central", "crescent"), outer=shell > 0)
    voxels = np.argwhere((artery > 0.02) | (depth > -shell))
    places = voxels + np.array([s.start for s in box])
    answer: Any = cKDTree(along.points).query(places, distance_upper_bound=2 * pad)
    distance, nearest = answer
    foreign = voxels[np.isfinite(distance) & ~np.isfinite(along.key[np.minimum(nearest, len(own) - 1)])]
    found = np.flatnonzero(np.isfinite(distance))
    found = found[np.isfinite(along.key[nearest[found]])]
    voxels, places, nearest, distance = voxels[found], places[found], nearest[found], distance[found] * mm
    here = tuple(voxels.T)
    local = along.radius[nearest]
    near = distance <= 2.0 * local + 3
    wave = shapes.noise((lumen.shape[0], lumen.shape[1], lumen.shape[2]), 8 / mm, rng)[here]
    offset = (places - along.points[nearest]) * mm
    tip = rng.uniform(-0.15, 0.4) / np.maximum(local, 1.0)
    fields = np.stack([
        np.einsum("ij,ij->i", offset, along.side[nearest]),
        np.einsum("ij,ij->i", offset, along.across[nearest]),
        along.key[nearest] + tip * np.minimum(distance, 1.5 * local) ** 2,
    ])  # fmt: skip
    seams = float(np.clip(0.25 * local.max(initial=0), 0.6, 2.5))
    lateral, other, rank = _smoothed(fields, lumen.shape, here, seams / mm)[(slice(None), *here)]
    section = _section(kind, film, depth[here], lateral, other, local, wave, rng)
    rank = rank + wave * np.minimum(0.35 * local, 2.0)
    weight = seen(artery[here]) * np.clip(0.5 - section / mm, 0, 1) * near * (taken[box][here] < 0.1)
    order = np.argsort(rank, kind="stable")
    filled = np.cumsum(weight[order]) * mm**3 / 1000
    if not filled.size or filled[-1] < 0.15 * volume_ml:
        return None
    end = float(rank[order[min(int(np.searchsorted(filled, volume_ml)), len(order) - 1)]])
    # Ends are rounded, and waved where the clot would stop on a plane between two ways.
    ends = np.r_[np.clip(np.where(near, rank - end, 4.0), -4.0, 4.0), np.full(len(foreign), 4.0)]
    blunt = float(np.clip(0.2 * local.max(initial=0), 0.8, 2.5))
    extent = _smoothed(ends[None], lumen.shape, tuple(np.r_[voxels, foreign].T), blunt / mm)[0][here]
    extent = extent + 0.8 * wave * np.minimum(0.35 * local, 2.0)
    across = _smoothed(np.clip(section, -4.0, 4.0)[None], lumen.shape, here, 0.8 / mm)[0][here]
    region = np.zeros(lumen.shape, np.float32)
    region[here] = shapes.soft(np.maximum(across, extent) / mm, 1.0)
    region = _whole(np.minimum(region, 1 - taken[box]), artery)
    swell = np.zeros(lumen.shape, np.float32)
    swell[here] = widening * local * np.clip((end - rank) / 5.0, 0, 1) * (section <= -FAR_MM)
    if (region * seen(artery) >= 0.5).sum() < max(3, 4 / mm**3):
        return None
    return Clot(box, region, _widened(canvas, box, artery, depth, swell))


def _depth(lumen: NDArray[np.bool_], mm: float, inner: bool, outer: bool) -> F32:
    """How deep each voxel lies inside the lumen, mm, negative outside; far too far on a side that is not asked for."""
    depth = np.where(lumen, np.float32(FAR_MM), np.float32(-FAR_MM))
    for mask, wanted, sign in ((lumen, inner, 1), (~lumen, outer, -1)):
        if wanted:
            away = np.asarray(ndimage.distance_transform_edt(mask), np.float32)
            np.copyto(depth, sign * (away - np.float32(0.5)) * np.float32(mm), where=mask)
    return depth


def _section(
    kind: Kind, film: bool, depth: F32, lateral: NDArray[np.float64], other: NDArray[np.float64],
    local: NDArray[np.float64], wave: F32, rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """Signed distance, mm, to the clot's surface across the lumen: negative inside it."""
    if film:  # here and there a trace of blood along the wall
        trace = rng.uniform(-0.3, 0.8) + 0.5 * wave
        return np.asarray(np.where(trace > 0, np.minimum(trace, 1.2) - depth, -FAR_MM), np.float64)
    if kind == "occlusive":
        return np.full(len(local), -FAR_MM)
    ripple = wave * np.minimum(0.15 * local, 0.9)
    if kind == "central":  # a rim of blood, wider on one side
        rim = rng.uniform(0.1, 0.45) * local * np.clip(1 + rng.uniform(0, 0.9) * lateral / local, 0.1, 2)
        return np.asarray(np.maximum(rim, 0.7) + ripple - depth)
    if kind == "crescent":  # no rim at all on one side
        rim = rng.uniform(0.25, 0.7) * local * np.clip(lateral / local + rng.uniform(0.2, 0.8), 0, 2)
        return np.asarray(np.where(rim < 0.3, -FAR_MM + 1, rim + ripple - depth))
    if kind == "mural":
        return np.asarray(rng.uniform(-0.5, 0.4) * local - lateral + ripple)
    if kind == "sheet":
        half, shift, wide = rng.uniform(1.5, 3.0), rng.uniform(-0.55, 0.55), rng.uniform(0.6, 1.3)
        flat = np.abs(lateral - shift * local + 0.5 * wave) - half
        return np.asarray(np.maximum(flat, np.abs(other) - wide * local + ripple))
    return np.asarray(np.abs(lateral + 0.4 * wave) - np.maximum(0.16 * local, 0.6))


def _smoothed(
    fields: NDArray[np.float64], shape: tuple[int, ...], here: tuple[Any, ...], sigma: float
) -> NDArray[np.float32]:
    """Fields `[k, n]` known at `n` voxels, smoothed among these: `[k, *shape]`, NaN elsewhere.

    Neighbouring ways disagree a little on where a voxel lies. Smoothing what they say, never the share of clot, closes
    the seams and keeps the edge sharp.
    """
    known = np.zeros(shape, np.float32)
    known[here] = 1
    weight = np.maximum(ndimage.gaussian_filter(known, sigma, truncate=3.0), 1e-3)
    out = np.full((len(fields), *shape), np.nan, np.float32)
    for values, target in zip(fields, out, strict=True):
        spread = np.zeros(shape, np.float32)
        spread[here] = values
        target[here] = (ndimage.gaussian_filter(spread, sigma, truncate=3.0) / weight)[here]
    return out


def _whole(region: F32, artery: F32) -> F32:
    """The region without its crumbs: pieces that count as clot and are far smaller than the largest."""
    parts, sizes = components(region * seen(artery) >= 0.3)
    if len(sizes) < 3:
        return region
    crumb = sizes < 0.12 * sizes.max()
    crumb[0] = False
    near: NDArray[np.bool_] = ndimage.binary_dilation(crumb[parts], np.ones((3, 3, 3), bool))
    return np.asarray(np.where(near, 0, region), np.float32)


def _widened(canvas: Canvas, box: Box, artery: F32, depth: F32, swell: F32) -> F32:
    """Occupancy of an artery that widens by `swell` mm where what surrounds it gives way."""
    mm = canvas.mm
    if not swell.any():
        return artery
    names = canvas.labels[box]
    gives = np.isin(names, [0, *(LABELS[n] for n in YIELDS)]) & (canvas.vein[box] < 64)
    wider = shapes.soft((-depth - ndimage.gaussian_filter(swell, 1.0)) / np.float32(mm), 1.2)
    wider *= gives & (swell > 0)
    return np.maximum(artery, wider)
