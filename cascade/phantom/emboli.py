"""Clots along the middle of arteries: how many, how large, where, in what shape."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cascade.phantom import shapes
from cascade.phantom.canvas import Canvas
from cascade.phantom.config import Simulation
from cascade.phantom.shapes import F32, U8, Box
from cascade.phantom.tree import Path

Kind = Literal["occlusive", "central", "eccentric", "web"]
PLACES = (("central", 6.2), ("lobar", 3.9), ("segmental", 2.1), ("subsegmental", 0.0))
"""Name of a stretch of artery by its radius in mm, largest first."""
LONGEST_MM = 150.0
BALL = np.array([[[z * z + y * y + x * x <= 5 for x in range(-2, 3)] for y in range(-2, 3)] for z in range(-2, 3)])


@dataclasses.dataclass(frozen=True)
class Clot:
    """One embolus as painted.

    Attributes:
        number: Its instance number.
        kind: How it lies in the vessel.
        place: By the radius of the artery at its middle.
        radius_mm: That radius.
        hu: Its mean HU.
        volume_ml: Volume on the canvas.
    """

    number: int
    kind: Kind
    place: str
    radius_mm: float
    hu: float
    volume_ml: float


def place_of(radius_mm: float) -> str:
    """Central, lobar, segmental or subsegmental."""
    return next(name for name, least in PLACES if radius_mm >= least)


def volumes(config: Simulation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Volumes in ml of a study's emboli, largest first.

    Fitted by eye to 33 patients of FUMPE (Masoudi 2018): 1 to 15 components, median 2; 0.3 to 62 ml a patient,
    median 6.6; a component 0.01 to 26 ml, median about 1.
    """
    fewest, most = config.emboli
    count = int(np.clip(1 + rng.negative_binomial(1.1, 0.36), max(fewest, 1), max(most, 1)))
    burden = float(np.clip(np.exp(rng.normal(np.log(5.5), 1.35)), *config.burden_ml))
    share = rng.dirichlet(np.full(count, 0.55))
    return np.sort(np.maximum(share * burden, 0.008))[::-1]


def paint(
    canvas: Canvas, box: Box, blood: F32, paths: list[Path], config: Simulation, rng: np.random.Generator
) -> tuple[U8, U8, list[Clot]]:
    """Put emboli into the arteries.

    Args:
        canvas: Its arteries are filled with `blood` already.
        box: Where `blood` lies.
        blood: HU of arterial blood in the box.
        paths: Ways along the arteries; the more, the more places to choose from.
        config: Number, volume, HU and kinds.
        rng: Source of every draw.

    Returns:
        Clot fraction uint8 (255 is all clot) and instance number uint8, both `[z, y, x]` of `box`; the clots.
    """
    fraction = np.zeros(blood.shape, np.uint8)
    numbers = np.zeros(blood.shape, np.uint8)
    clots: list[Clot] = []
    if not paths:
        return fraction, numbers, clots
    origin = np.array([s.start for s in box])
    for volume in volumes(config, rng):
        for _ in range(8):
            made = _clot(canvas, origin, fraction, paths, float(volume), config, rng)
            if made is not None:
                break
        else:
            continue
        part, occupancy, kind, radius = made
        number = len(clots) + 1
        mean = rng.uniform(*config.clot_hu)
        texture = shapes.noise((occupancy.shape[0], occupancy.shape[1], occupancy.shape[2]), 4 / canvas.mm, rng)
        hu = np.clip(mean + 8 * texture, 15, 130)
        whole = tuple(slice(s.start + o, s.stop + o) for s, o in zip(part, origin.tolist(), strict=True))
        canvas.hu[whole] += occupancy * (hu - blood[part])
        fraction[part] = np.maximum(fraction[part], np.rint(occupancy * 255).astype(np.uint8))
        numbers[part][occupancy >= 0.1] = number
        size = float((occupancy >= 0.5).sum()) * canvas.mm**3 / 1000
        clots.append(Clot(number, kind, place_of(radius), radius, float(mean), size))
    return fraction, numbers, clots


def _radius_range(volume_ml: float, rng: np.random.Generator) -> tuple[float, float]:
    """Radii of the arteries in which a clot of this volume lies, mm."""
    middle = 2.0 + 2.6 * np.log10(volume_ml / 0.01) ** 1.0 * 0.62 * rng.uniform(0.75, 1.25)
    middle = float(np.clip(middle, 1.0, 10.5))
    return middle * 0.75, middle * 1.3 + 0.3


def _clot(
    canvas: Canvas, origin: NDArray[np.intp], taken: U8, paths: list[Path], volume_ml: float, config: Simulation,
    rng: np.random.Generator,
) -> tuple[Box, F32, Kind, float] | None:  # fmt: skip
    mm = canvas.mm
    low, high = _radius_range(volume_ml, rng)
    path, seed = _seed(paths, low, high, rng)
    radius = float(path.radius[seed])
    kind = _kind(radius, config, rng)
    ways = [path, *_others(paths, path, seed, rng)]
    spread = LONGEST_MM / 2
    points, radii, keys, across = [], [], [], []
    normal = shapes.unit(rng.standard_normal(3))
    start = path.along[seed]
    bias = rng.uniform(0.5, 1.6)  # clots reach further one way than the other
    for way in ways:
        away = way.along - start
        keep = np.flatnonzero(np.abs(away) < spread)
        if keep.size < 2:
            continue
        points.append(way.points[keep])
        radii.append(way.radius[keep])
        keys.append(np.where(away[keep] < 0, -away[keep] * bias, away[keep]))
        tangent = np.gradient(way.points, axis=0)[keep]
        side = np.cross(tangent, normal)
        across.append(side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6))
    centre, size, key = np.concatenate(points), np.concatenate(radii), np.concatenate(keys)
    turned = np.concatenate(across)
    # No more length than the volume can fill, or far twigs would be searched in vain.
    area = np.pi * radius**2 * (0.35 if kind in ("web", "eccentric") else 0.6)
    reach = min(max(3.0 * volume_ml * 1000 / area, 12.0), spread)
    near = key <= reach
    centre, size, key, turned = centre[near], size[near], key[near], turned[near]
    pad = 1.6 * size.max() / mm + 4
    box = shapes.box_around(canvas.shape, centre.min(0) - pad, centre.max(0) + pad)
    if box is None:
        return None
    inside = _within(box, origin, taken.shape)
    whole = tuple(slice(s.start + int(o), s.stop + int(o)) for s, o in zip(inside, origin, strict=True))
    artery = canvas.artery[whole].astype(np.float32) / 255
    near_artery = ndimage.maximum_filter(canvas.artery[whole], 3) > 20
    voxels = np.argwhere(near_artery)
    if len(voxels) < 3:
        return None
    places = voxels + np.array([s.start for s in whole])
    answer: Any = cKDTree(centre).query(places, distance_upper_bound=pad)
    distance, nearest = answer
    found = np.isfinite(distance)
    voxels, places, distance, nearest = voxels[found], places[found], distance[found] * mm, nearest[found]
    local = size[nearest]
    offset = (places - centre[nearest]) * mm
    ok = distance <= 1.3 * local + 1.4
    wave = shapes.noise((artery.shape[0], artery.shape[1], artery.shape[2]), 7 / mm, rng)[tuple(voxels.T)]
    ripple = (0.24 * wave * np.minimum(local, 6.0)).astype(np.float64)
    ok &= _cross_section(kind, offset, distance + ripple, local, turned[nearest], ripple, rng)
    rank = (
        key[nearest] + 0.35 * (distance / np.maximum(local, 0.5)) ** 2 * local + 2.2 * wave * np.minimum(local, 4) / 2
    )
    ok &= taken[inside][tuple(voxels.T)] < 26
    voxels, rank = voxels[ok], rank[ok]
    weight = np.minimum(artery[tuple(voxels.T)], 1.0)
    order = np.argsort(rank, kind="stable")
    filled = np.cumsum(weight[order]) * mm**3 / 1000
    count = int(np.searchsorted(filled, volume_ml)) + 1
    chosen = voxels[order[:count]]
    if filled.size == 0 or filled[min(count, len(filled)) - 1] < 0.15 * volume_ml:
        return None
    binary = np.zeros(artery.shape, np.float32)
    binary[tuple(chosen.T)] = 1
    # Closing heals the seams where two ways with different cross-sections meet.
    closed = ndimage.grey_closing(np.pad(binary, 2), footprint=BALL)[2:-2, 2:-2, 2:-2]
    blurred = ndimage.gaussian_filter(closed, 0.8)
    occupancy = np.clip((blurred - 0.5) * 1.7 + 0.5, 0, 1) * artery
    occupancy = np.where(taken[inside] > 0, np.minimum(occupancy, 1 - taken[inside] / np.float32(255)), occupancy)
    if (occupancy >= 0.5).sum() < max(3, 4 / mm**3):
        return None
    return inside, np.asarray(occupancy, np.float32), kind, radius


def _within(box: Box, origin: NDArray[np.intp], shape: tuple[int, ...]) -> Box:
    cut = [
        slice(int(np.clip(s.start - o, 0, n - 1)), int(np.clip(s.stop - o, 1, n)))
        for s, o, n in zip(box, origin, shape, strict=True)
    ]
    return cut[0], cut[1], cut[2]


def _seed(paths: list[Path], low: float, high: float, rng: np.random.Generator) -> tuple[Path, int]:
    """A place whose radius lies in the range, or the nearest to it."""
    order = rng.permutation(len(paths))
    best: tuple[float, int, int] | None = None
    for i in order:
        radius = paths[i].radius
        hits = np.flatnonzero((radius >= low) & (radius <= high) & (paths[i].along > 18))
        if hits.size:
            return paths[i], int(rng.choice(hits))
        miss = np.abs(radius - (low + high) / 2)
        at = int(miss.argmin())
        if best is None or miss[at] < best[0]:
            best = (float(miss[at]), int(i), at)
    if best is None:
        raise ValueError("no paths")
    return paths[best[1]], best[2]


def _others(paths: list[Path], path: Path, seed: int, rng: np.random.Generator) -> list[Path]:
    """Other ways through the same place: clots ride on forks."""
    node = path.nodes[seed]
    shared = [p for p in paths if p is not path and len(p.nodes) > seed and p.nodes[seed] == node]
    if path.radius[seed] > 6.0 and rng.random() < 0.5:  # a saddle reaches into both sides
        back = max(seed - int(25 / max(path.along[1] - path.along[0], 0.5)), 2)
        shared = [p for p in paths if p is not path and len(p.nodes) > back and p.nodes[back] == path.nodes[back]]
    count = min(len(shared), int(rng.choice([0, 1, 2, 4, 6], p=[0.2, 0.25, 0.25, 0.2, 0.1])))
    return [shared[i] for i in rng.choice(len(shared), count, replace=False)] if count else []


def _kind(radius: float, config: Simulation, rng: np.random.Generator) -> Kind:
    if rng.random() < config.chronic and radius > 2.5:
        return "web" if rng.random() < 0.3 and radius < 6 else "eccentric"
    if radius < 2.0:
        return "occlusive"
    small = radius < 5
    occlusive = config.occlusive[0 if small else 1]
    central = (1 - occlusive) * (0.6 if small else 9 / 14)
    chances = (occlusive, central, 1 - occlusive - central)
    return ("occlusive", "central", "eccentric")[int(rng.choice(3, p=chances))]


def _cross_section(
    kind: Kind, offset: NDArray[np.float64], distance: NDArray[np.float64], local: NDArray[np.float64],
    side: NDArray[np.float64], ripple: NDArray[np.float64], rng: np.random.Generator,
) -> NDArray[np.bool_]:  # fmt: skip
    """Which voxels of the lumen a clot of this kind fills."""
    if kind == "occlusive":
        return np.ones(len(distance), bool)
    lateral = np.einsum("ij,ij->i", offset, side)
    if kind == "central":
        shift = rng.uniform(0.0, 0.3)
        share = rng.uniform(0.5, 0.82)
        moved = np.linalg.norm(offset - side * (shift * local)[:, None], axis=1) + ripple
        return np.asarray(moved <= np.maximum(share * local, 0.9))
    if kind == "eccentric":
        return np.asarray(lateral + ripple >= rng.uniform(-0.45, 0.35) * local)
    return np.asarray(np.abs(lateral) <= np.maximum(0.16 * local, 0.9))
