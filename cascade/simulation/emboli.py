"""Emboli of a study: how many, how large, where, of which kind; and what they do to the blood."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.core.findings import place_of
from cascade.simulation import clot, shapes
from cascade.simulation.canvas import Canvas
from cascade.simulation.clot import Kind
from cascade.simulation.config import Simulation
from cascade.simulation.shapes import F32, U8, Box
from cascade.simulation.tree import Path, Tree

TRUNK_MM = 18.0
"""How far clots reach from the fork of the trunk back towards the valve."""
WIDE_MM = 6.0
"""Arteries of this radius and more are never starved: blood finds its way around a clot."""
TIGHT = 0.6
"""Share of clots in the whole lumen that touch the wall all around."""
CHRONIC: tuple[Kind, ...] = ("mural", "web")
"""Kinds that old emboli have."""
BRANCH_MM = (1.6, 6.0)
"""Radius of the branches that are filled whole: lobar, segmental and the larger subsegmental ones."""
ROOT_MM = 6.0
"""No clot nearer than this to the root of the tree: what is nearest to the root may be the heart."""


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


def volumes(config: Simulation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Volumes in ml of a study's emboli, largest first.

    Fitted to FUMPE patients 1-12 (Masoudi 2018): 0.3 to 62 ml a patient, median 5.2; 1 to 5 components, median 1.5;
    their slices span 8 to 104 mm, median 44. Painted clots touch, so that there are fewer components than draws.
    """
    fewest, most = config.emboli
    count = int(np.clip(1 + rng.negative_binomial(1.1, 0.45), max(fewest, 1), max(most, 1)))
    burden = float(np.clip(np.exp(rng.normal(np.log(5.5), 1.35)), *config.burden_ml))
    share = rng.dirichlet(np.full(count, 1.0))
    return np.sort(np.maximum(share * burden, 0.008))[::-1]


def paint(
    canvas: Canvas, box: Box, blood: F32, paths: list[Path], config: Simulation, rng: np.random.Generator,
    blur: float = 0.0,
) -> tuple[U8, U8, list[Clot]]:  # fmt: skip
    """Put emboli into the arteries, widen those that they fill, and starve what lies behind some.

    Args:
        canvas: Its arteries are filled with `blood` already. HU and arteries change.
        box: Where `blood` lies.
        blood: HU of arterial blood in the box. It darkens behind clots that let little through.
        paths: Ways along the arteries; the more, the more places to choose from.
        config: Number, volume, HU and kinds.
        rng: Source of every draw.
        blur: Standard deviation of the edge between clot and blood, voxels; 0 where a scanner is still to come.

    Returns:
        Clot fraction uint8 (255 is all clot) and instance number uint8, both `[z, y, x]` of `box`; the clots.
    """
    fraction = np.zeros(blood.shape, np.uint8)
    numbers = np.zeros(blood.shape, np.uint8)
    # Share of each voxel's blood that clots have taken the place of: it gives way once, also where clots touch.
    displaced = np.zeros(blood.shape, np.float32)
    clots: list[Clot] = []
    if not paths:
        return fraction, numbers, clots
    part = Canvas(canvas.hu[box], canvas.labels[box], canvas.artery[box], canvas.vein[box], canvas.lung[box], canvas.mm)
    start = np.array([s.start for s in box])
    net = clot.Net.of([dataclasses.replace(p, points=p.points - start) for p in paths], canvas.mm)
    valve = max(net.fork_mm - TRUNK_MM, ROOT_MM)
    filled = config.filled > 0 and rng.random() < config.filled  # no draw is made where it cannot be
    for volume in volumes(config, rng):
        for _ in range(8):
            place = _place_filled if filled else _place
            kind, way, seed = place(paths, float(volume), valve, config, rng)
            radius = float(paths[way].radius[seed])
            widening = rng.uniform(*config.widening) if kind == "occlusive" and rng.random() < TIGHT else 0.0
            reach = _reach(kind, float(volume), radius)
            along = clot.ways(net, way, seed, kind, valve, reach, canvas.mm, rng)
            made = clot.form(part, along, kind, float(volume), widening, displaced, rng)
            if made is not None:
                break
        else:
            continue
        mean = float(rng.uniform(*config.clot_hu))
        occupancy = _fill(part, made, blood, displaced, mean, blur, rng)
        number = len(clots) + 1
        fraction[made.box] = np.maximum(fraction[made.box], np.rint(occupancy * 255).astype(np.uint8))
        numbers[made.box][occupancy >= 0.1] = number
        if kind == "occlusive" and radius < WIDE_MM and rng.random() < config.starved:
            _starve(part, displaced, blood, paths[0].tree, start, occupancy, made.box, rng)
        size = float((occupancy >= 0.5).sum()) * canvas.mm**3 / 1000
        clots.append(Clot(number, kind, place_of(radius), radius, mean, size))
    return fraction, numbers, clots


def _fill(
    part: Canvas, made: clot.Clot, blood: F32, displaced: F32, mean: float, blur: float, rng: np.random.Generator
) -> F32:
    """Change HU and arteries as a clot does; return the share of each voxel in its box that counts as clot."""
    box, shape = made.box, made.region.shape
    hu = np.clip(mean + 4 * shapes.noise((shape[0], shape[1], shape[2]), 4 / part.mm, rng), 15, 130)
    region = ndimage.gaussian_filter(made.region, blur) if blur else made.region
    region = np.minimum(region, 1 - displaced[box])
    displaced[box] += region
    before = part.artery[box].astype(np.float32) / 255
    wider = made.artery - before
    tissue = np.clip((part.hu[box] - before * blood[box]) / np.maximum(1 - before, 0.1), -1000, 150)
    part.hu[box] += region * before * (hu - blood[box]) + wider * (hu - tissue)
    part.artery[box] = np.rint(255 * made.artery).astype(np.uint8)
    return np.asarray(made.region * clot.seen(made.artery), np.float32)


def _starve(
    part: Canvas, displaced: F32, blood: F32, tree: Tree, start: NDArray[np.intp], occupancy: F32, box: Box,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Let little contrast into the branches behind a clot that fills its artery."""
    voxels = tree.voxels - start
    low = np.array([s.start for s in box])
    near = np.flatnonzero(np.all((voxels >= low) & (voxels < low + occupancy.shape), axis=1))
    filled = np.zeros(len(voxels), bool)
    filled[near] = occupancy[tuple((voxels[near] - low).T)] >= 0.5
    behind = voxels[tree.behind(filled) & ~filled & (tree.calibre(10.0) < WIDE_MM)]
    behind = behind[np.all((behind >= 0) & (behind < blood.shape), axis=1)]
    if not len(behind):
        return
    shape = (blood.shape[0], blood.shape[1], blood.shape[2])
    around = shapes.box_around(shape, behind.min(0) - 3.0, behind.max(0) + 3.0)
    if around is None:
        return
    dim = np.zeros([s.stop - s.start for s in around], np.float32)
    dim[tuple((behind - [s.start for s in around]).T)] = 1
    dim = np.clip(1.5 * ndimage.gaussian_filter(ndimage.maximum_filter(dim, 3), 0.8), 0, 1) * rng.uniform(0.2, 0.8)
    less = dim * np.maximum(blood[around] - 45, 0)
    free = part.artery[around].astype(np.float32) / 255 * (1 - displaced[around])
    part.hu[around] -= free * less
    blood[around] -= less


def _place(
    paths: list[Path], volume_ml: float, valve_mm: float, config: Simulation, rng: np.random.Generator
) -> tuple[Kind, int, int]:
    """Kind of a clot, and its path and place on it: the larger it is, the wider its artery."""
    flat = volume_ml > 1.5 and rng.random() < config.sheets
    radius = float(np.clip(2.6 * volume_ml**0.3 * rng.uniform(0.8, 1.25), 1.8, 9.5))
    kind: Kind = "sheet" if flat else _kind(radius, config, rng)
    radius *= 1.0 if kind == "occlusive" else 1.35
    low, high = (6.5, 14.0) if flat else (radius * 0.8, radius * 1.25)
    way, seed = _seed(paths, low, high, valve_mm, rng)
    return kind, way, seed


def _place_filled(
    paths: list[Path], volume_ml: float, valve_mm: float, config: Simulation, rng: np.random.Generator
) -> tuple[Kind, int, int]:
    """The same for a clot that fills a branch whole: a large one lies in a wider branch, none in a main artery."""
    low, high = BRANCH_MM
    radius = float(np.clip(3.0 * volume_ml**0.3 * rng.uniform(0.7, 1.2), low, 0.85 * high))
    way, seed = _seed(paths, radius * 0.8, min(radius * 1.25, high), valve_mm, rng)
    return "occlusive", way, seed


def _seed(paths: list[Path], low: float, high: float, valve_mm: float, rng: np.random.Generator) -> tuple[int, int]:
    """A place whose radius lies in the range, or the nearest to it."""
    best: tuple[float, int, int] | None = None
    for i in rng.permutation(len(paths)):
        path = paths[i]
        radius = np.where(path.along > valve_mm + 5, path.radius, np.inf)
        hits = np.flatnonzero((radius >= low) & (radius <= high))
        if hits.size:
            return int(i), int(rng.choice(hits))
        miss = np.abs(radius - (low + high) / 2)
        at = int(miss.argmin())
        if best is None or miss[at] < best[0]:
            best = (float(miss[at]), int(i), at)
    if best is None:
        raise ValueError("no paths")
    return best[1], best[2]


def _kind(radius: float, config: Simulation, rng: np.random.Generator) -> Kind:
    if rng.random() < config.chronic and radius > 2.5:
        return "web" if rng.random() < 0.3 and radius < 6 else "mural"
    occlusive = config.occlusive[0 if radius < 5 else 1] * (1.0 if radius < 8.5 else 0.3)
    if rng.random() < (max(occlusive, 0.8) if radius < 2 else occlusive):
        return "occlusive"
    return ("central", "crescent", "mural")[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]


def _reach(kind: Kind, volume_ml: float, radius: float) -> float:
    """How far along the artery a clot is looked for, mm: no further than its volume can fill, or it takes long."""
    area = 7.0 * radius if kind == "sheet" else np.pi * radius**2 * (0.6 if kind == "occlusive" else 0.35)
    return float(np.clip(3.0 * volume_ml * 1000 / area, 12.0, clot.LONGEST_MM / 2))
