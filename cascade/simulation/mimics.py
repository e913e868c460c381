"""What is not an embolus: nodes, strands, sick lung, fluid, nodules, a heart that moves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.landmarks import Landmarks
from cascade.simulation.mediastinum import Ascending
from cascade.simulation.scanner import Scan
from cascade.simulation.shapes import F32
from cascade.simulation.tree import Path

SOFT = ("body", "lung", "node", "consolidation", "oesophagus")
"""What a lymph node may push aside."""


def soft_tissue(canvas: Canvas, marks: Landmarks, config: Simulation, rng: np.random.Generator) -> None:
    """Strands and remains of the thymus in the fat between the lungs."""
    mm = canvas.mm
    low, high = int(marks.diaphragm.max()), canvas.shape[0]
    x0, x1 = (int(np.clip(marks.axis[1] + s * 75 / mm, 0, canvas.shape[2])) for s in (-1, 1))
    box = (slice(min(low, high - 1), high), slice(0, canvas.shape[1]), slice(x0, x1))
    shape = tuple(s.stop - s.start for s in box)
    wide = shapes.noise((shape[0], shape[1], shape[2]), 9 / mm, rng)
    narrow = shapes.noise((shape[0], shape[1], shape[2]), 3.5 / mm, rng)
    amount = rng.uniform(0.1, 0.9) * config.mimics
    front = np.clip((marks.trunk[1] - np.arange(shape[1], dtype=np.float32)) * mm / 15 + 1, 0, 1)[None, :, None]
    thymus = rng.uniform(0, 0.7) if rng.random() < 0.5 else 0.0
    inside = np.stack(
        [marks.radius[:, x0:x1] < marks.hull[z][marks.direction[:, x0:x1]] for z in range(box[0].start, high)]
    )
    alpha = np.clip(0.85 * wide + 0.65 * narrow + amount - 0.95, 0, 1) * 0.9
    alpha = np.maximum(alpha, thymus * front * np.clip(1.5 * wide + 0.6, 0, 1)) * inside
    canvas.paint(np.asarray(alpha, np.float32), float(rng.uniform(20, 50)), box)


def nodes(canvas: Canvas, marks: Landmarks, paths: list[Path], config: Simulation, rng: np.random.Generator) -> None:
    """Lymph nodes beside hilar arteries and around the airway: small ones in everyone, enlarged ones in some."""
    mm = canvas.mm
    if not paths or config.mimics <= 0:
        return
    large = rng.random() < config.enlarged_nodes * config.mimics
    hilar, central = (_node_sizes(config, large, rng) for _ in range(2))
    for size in hilar:
        path = paths[int(rng.integers(len(paths)))]
        fits = np.flatnonzero((path.radius > 2.6) & (path.radius < 9) & (path.along > 25))
        if not fits.size:
            continue
        at = int(rng.choice(fits))
        tangent = shapes.unit(path.points[min(at + 1, len(path.points) - 1)] - path.points[at - 1] + 1e-3)
        side = shapes.unit(np.cross(tangent, rng.standard_normal(3)))
        radii = size * np.array([rng.uniform(1.1, 2.0), 1.0, rng.uniform(1.0, 1.4)])
        centre = path.points[at] + side * (path.radius[at] + radii[1] + rng.uniform(-0.5, 2.5)) / mm
        _node(canvas, centre, radii, np.array([tangent, side, np.cross(tangent, side)]), rng)
    for size in central:
        z = marks.fork[0] + rng.uniform(-30, 40) / mm
        row = int(np.clip(z, 0, canvas.shape[0] - 1))
        y = marks.spine[row, 0] - marks.spine_radius[row] - rng.uniform(16, 55) / mm
        centre = np.array([z, y, marks.spine[row, 1] + rng.normal(0, 20) / mm])
        radii = size * np.array([rng.uniform(1.0, 1.8), 1.0, rng.uniform(1.0, 1.4)])
        _node(canvas, centre, radii, shapes.random_axes(rng), rng)


def _node_sizes(config: Simulation, large: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    """Half the short axes of a station's nodes, mm: 3 to 7 mm across where nothing is wrong."""
    count = int(rng.integers(config.nodes[0], config.nodes[1] + 1) * min(config.mimics, 2.0))
    sizes = rng.uniform(1.5, 3.5, count)
    if large:
        grown = rng.random(count) < 0.5
        sizes[grown] = rng.uniform(4.5, 9.0, int(grown.sum()))
    return sizes


def _node(
    canvas: Canvas, centre: NDArray[np.float64], radii: NDArray[np.float64], axes: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """One node of irregular outline, often with fat in its hilum, rarely with lime; vessels stay what they are."""
    got = shapes.ellipsoid(canvas.shape, centre, radii / canvas.mm, axes)
    if got is None:
        return
    box, distance = got
    shape = (distance.shape[0], distance.shape[1], distance.shape[2])
    distance = distance + 0.3 * radii.min() / canvas.mm * shapes.noise(shape, radii.min() / canvas.mm + 1, rng)
    alpha = shapes.soft(distance, 1.2) * np.isin(canvas.labels[box], [0, *(LABELS[n] for n in SOFT)])
    alpha *= 1 - np.maximum(canvas.artery[box], canvas.vein[box]).astype(np.float32) / 255
    canvas.paint(alpha, float(rng.uniform(30, 90)), box, "node")
    if rng.random() < 0.4:
        aside = axes[1] * radii[1] * rng.uniform(-0.5, 0.5) / canvas.mm
        canvas.paint_ellipsoid(
            centre + aside, radii * rng.uniform(0.3, 0.55), rng.uniform(-80, 0), None, axes, ("node",)
        )
    elif rng.random() < 0.06:
        canvas.paint_ellipsoid(centre + rng.normal(0, 1, 3), radii * 0.35, rng.uniform(300, 900), None, axes, ("node",))


def lung_changes(canvas: Canvas, marks: Landmarks, config: Simulation, rng: np.random.Generator) -> None:
    """Dependent density, consolidation, effusion and nodules; vessels are painted over them later."""
    if config.mimics <= 0:
        return
    if rng.random() < config.dependent * config.mimics:
        _dependent(canvas, marks, rng)
    if rng.random() < config.consolidation * config.mimics:
        for _ in range(int(rng.integers(1, 5))):
            _consolidate(canvas, marks, rng)
    for right in (True, False):
        if rng.random() < config.effusion * config.mimics:
            _effuse(canvas, marks, right, rng)
    if rng.random() < config.dependent * config.mimics:
        plates(canvas, marks, rng)
    if rng.random() < config.nodules * config.mimics:
        _nodules(canvas, marks, rng)


def scars(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    """A net of thickened septa in the outer lung, densest at its base and back, as in fibrosis."""
    mm = canvas.mm
    depth = ndimage.distance_transform_edt(marks.lung) * marks.step * mm
    ground = depth.astype(np.float32)
    reach, bright = rng.uniform(8, 22), rng.uniform(150, 420)
    low, high = marks.lung_z
    shape = canvas.hu.shape
    net = shapes.noise((shape[0], shape[1], shape[2]), rng.uniform(4, 8) / mm, rng)
    for z in range(max(int(low), 0), min(int(high), shape[0])):
        near = cv2.resize(ground[min(z // marks.step, len(ground) - 1)], shape[:0:-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip(1 - near / reach, 0, 1) * np.clip(1.2 - (z - low) / (0.7 * (high - low)), 0, 1)
        lines = np.exp(-np.square(net[z] / 0.22)) * share
        canvas.hu[z] += bright * lines * (canvas.lung[z] >= 128) * (canvas.hu[z] < -500)


def cuffs(canvas: Canvas, marks: Landmarks, config: Simulation, rng: np.random.Generator) -> None:
    """Fat, here and there soft tissue, that wraps the large vessels of a hilum."""
    if config.mimics <= 0:
        return
    mm = canvas.mm
    for hilum in marks.hila:
        if rng.random() > 0.8 * config.mimics:
            continue
        reach = 48 / mm
        box = shapes.box_around(canvas.shape, hilum - reach, hilum + reach)
        if box is None:
            continue
        vessels = np.maximum(canvas.artery[box], canvas.vein[box])
        thick = ndimage.grey_erosion(vessels, footprint=_ball(2.2 / mm)).astype(np.float32) / 255
        wide = ndimage.gaussian_filter(thick, rng.uniform(2.0, 3.5) / mm)
        shape = (wide.shape[0], wide.shape[1], wide.shape[2])
        wave = shapes.noise(shape, 8 / mm, rng)
        alpha = np.clip((wide - rng.uniform(0.08, 0.3) - 0.1 * wave) * 9, 0, 1) * rng.uniform(0.6, 1.0)
        alpha *= np.isin(canvas.labels[box], [0, *(LABELS[n] for n in SOFT)])
        tissue = np.where(wave > rng.uniform(0.0, 1.5), rng.uniform(15, 60), rng.uniform(-100, -30))
        canvas.paint(np.asarray(alpha, np.float32), ndimage.gaussian_filter(tissue, 1.0).astype(np.float32), box)


def recesses(canvas: Canvas, marks: Landmarks, rise: Ascending, config: Simulation, rng: np.random.Generator) -> None:
    """Fluid in folds of the pericardium, and fat in their place: behind and before the aorta, and below its arch.

    Lying between bright vessels, they look like a dark spot inside one.
    """
    mm, fork = canvas.mm, marks.fork
    z, up, fro = fork[0], np.array([1.0, 0.0, 0.0]) / mm, np.array([0.0, 1.0, 0.0]) / mm
    places = {
        "behind the aorta": np.array([z + rng.uniform(-8, 14) / mm, rise.y, rise.x]) + fro * (rise.radius + 2),
        "beside the trunk": 0.5 * (fork + np.array([z, rise.y, rise.x])) - 8 * fro - rng.uniform(0, 25) * up,
        "below the arch": fork + np.array([rng.uniform(10, 24), rng.uniform(-6, 10), rng.uniform(8, 24)]) / mm,
        "around the veins": marks.atrium + np.array([rng.uniform(0, 14), 0, rng.uniform(-24, 24)]) / mm,
    }
    for place in (*places.values(), *places.values()):
        if rng.random() > 0.4 * config.mimics:
            continue
        value = rng.uniform(0, 35) if rng.random() < 0.6 else rng.uniform(-110, -40)
        flat = np.array([rng.uniform(5, 14), rng.uniform(1.5, 4.5), rng.uniform(5, 14)])
        tilt = shapes.unit(np.array([0.0, 1.0, rng.normal(0, 0.5)]))
        axes = np.array([[1.0, 0.0, 0.0], tilt, np.cross([1.0, 0.0, 0.0], tilt)])
        aside = rng.normal(0, 3, 3) / mm
        canvas.paint_ellipsoid(place + aside, flat, float(value), None, axes, ("body", "node"))


def _ball(radius: float) -> NDArray[np.bool_]:
    n = int(np.ceil(radius))
    z, y, x = np.ogrid[-n : n + 1, -n : n + 1, -n : n + 1]
    return np.asarray(z * z + y * y + x * x <= radius**2)


def plates(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    """Plate-like collapse in the lower lungs."""
    mm = canvas.mm
    places = np.argwhere(marks.lung[: max(marks.lung.shape[0] // 2, 2)])
    if not len(places):
        return
    for _ in range(int(rng.integers(1, 6))):
        centre = places[int(rng.integers(len(places)))] * marks.step
        axes = shapes.random_axes(rng)
        radii = np.array([rng.uniform(1.0, 2.6), rng.uniform(10, 22), rng.uniform(15, 40)])
        got = shapes.ellipsoid(canvas.shape, centre.astype(float), radii / mm, axes)
        if got is not None:
            alpha = shapes.soft(got[1]) * (canvas.lung[got[0]].astype(np.float32) / 255)
            canvas.paint(alpha, float(rng.uniform(-350, 60)), got[0])


def _dependent(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    mm = canvas.mm
    reach, peak = rng.uniform(4, 22) / mm, rng.uniform(80, 520)
    wave = shapes.noise(canvas.shape, 22 / mm, rng)
    y0 = int(marks.axis[0])
    for z in range(marks.lung_z[0], marks.lung_z[1]):
        lung = canvas.lung[z] >= 128
        rows = lung[y0:]
        if not rows.any():
            continue
        # Depth measured straight forward from the hindmost lung voxel of each column.
        last = rows.shape[0] - 1 - rows[::-1].argmax(0)
        depth = (last[None, :] - np.arange(rows.shape[0])[:, None]).astype(np.float32)
        lift = peak * np.exp(-np.maximum(depth, 0) / reach * np.maximum(1.2 + 0.6 * wave[z, y0:], 0.3)) * rows
        part = canvas.hu[z, y0:]
        np.minimum(part + lift, np.maximum(part, 45), out=part)


def _consolidate(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    mm = canvas.mm
    rim = marks.lung & ~ndimage.binary_erosion(marks.lung)
    places = np.argwhere(rim if rng.random() < 0.75 else marks.lung)
    weight = np.exp(places[:, 1] / marks.lung.shape[1] * 5.0 - places[:, 0] / marks.lung.shape[0] * 3.0)
    centre = places[rng.choice(len(places), p=weight / weight.sum())] * marks.step
    radii = rng.uniform(6, 38) * rng.uniform(0.6, 1.4, 3) / mm
    got = shapes.ellipsoid(canvas.shape, centre.astype(float), radii * 1.3)
    if got is None:
        return
    box, distance = got
    shape = (distance.shape[0], distance.shape[1], distance.shape[2])
    ragged = distance + shapes.noise(shape, 8 / mm, rng) * 0.4 * radii.min() + shapes.noise(shape, 3 / mm, rng) * 1.5
    alpha = shapes.soft(ragged + 0.15 * radii.min(), rng.uniform(2, 14)) * (canvas.lung[box].astype(np.float32) / 255)
    hu = rng.uniform(25, 95) if rng.random() < 0.7 else rng.uniform(-650, -250)
    grain = shapes.noise(shape, 2.5 / mm, rng) * 8
    canvas.paint(alpha, np.asarray(hu + grain, np.float32), box, "consolidation" if hu > 0 else None)


def _effuse(canvas: Canvas, marks: Landmarks, right: bool, rng: np.random.Generator) -> None:
    """Fluid behind and below: it replaces lung near the hind wall, and what lay in it is squeezed."""
    mm = canvas.mm
    side = marks.right if right else marks.lung & ~marks.right
    zs = np.flatnonzero(side.any((1, 2))) * marks.step
    if not zs.size:
        return
    height = rng.uniform(0.25, 0.9) * (zs[-1] - zs[0])
    thick = rng.uniform(8, 45) / mm
    fluid, squeezed = rng.uniform(0, 28), rng.uniform(40, 110)
    rind = rng.uniform(3, 22) / mm
    wave = shapes.noise((canvas.shape[0], canvas.shape[2]), 40 / mm, rng) * 3 / mm
    for z in range(int(zs[0]), int(min(zs[0] + height, canvas.shape[0]))):
        level = thick * (1 - (z - zs[0]) / height) ** 0.8
        coarse_z = min(z // marks.step, side.shape[0] - 1)
        mask = cv2.resize(side[coarse_z].astype(np.uint8), canvas.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
        lung = (canvas.lung[z] > 0) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0)
        if not lung.any():
            continue
        columns = lung.any(0)
        last = lung.shape[0] - 1 - lung[::-1].argmax(0)
        depth = (last[None, :] - np.arange(lung.shape[0])[:, None]).astype(np.float32)
        wet = shapes.soft(depth - level - wave[z][None, :], 2.0) * (lung & columns[None, :])
        rim = shapes.soft(depth - level - rind - 2 * wave[z][None, :], 4.0) * lung * (level > 2)
        part = canvas.hu[z]
        part += rim * (squeezed - part)
        canvas.labels[z][rim >= 0.5] = LABELS["consolidation"]
        part += wet * (fluid - part)
        drowned = wet >= 0.5
        canvas.labels[z][drowned] = LABELS["effusion"]
        canvas.artery[z][drowned] = 0
        canvas.vein[z][drowned] = 0


def _nodules(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    places = np.argwhere(marks.lung)
    for _ in range(int(rng.integers(1, 14))):
        centre = places[int(rng.integers(len(places)))] * marks.step + rng.uniform(0, 1, 3)
        radius = float(np.clip(rng.lognormal(0.9, 0.6), 1.2, 14))
        hu = rng.uniform(-20, 80) if rng.random() < 0.85 else rng.uniform(200, 700)
        canvas.paint_ellipsoid(centre, radius * rng.uniform(0.8, 1.25, 3), hu, None, shapes.random_axes(rng))


class Motion:
    """A beating heart: what lies around it is seen twice, a little apart."""

    def __init__(self, canvas: Canvas, config: Simulation, rng: np.random.Generator) -> None:
        self.on = rng.random() < config.motion * min(config.mimics, 1.0)
        box = ndimage.find_objects((canvas.labels == LABELS["heart"]).view(np.uint8))
        self.on = bool(self.on and box)
        if not self.on:
            return
        self.canvas_mm = canvas.mm
        self.z = (box[0][0].start, box[0][0].stop)
        self.centre = tuple((s.start + s.stop) / 2 for s in box[0][1:])
        self.reach = tuple((s.stop - s.start) / 2 for s in box[0][1:])
        self.shift_mm = rng.normal(0, 1.3, 2)
        self.phase = rng.uniform(0, 2 * np.pi)
        self.period = rng.uniform(8, 25)

    def blur(self, plane: F32, i: int, scan: Scan) -> F32:
        """A slice with the heart's movement in it."""
        z = scan.z[i]
        if not self.on or not self.z[0] - 5 <= z <= self.z[1] + 15:
            return plane
        beat = np.sin(self.phase + z * self.canvas_mm / self.period * 2 * np.pi)
        dy, dx = self.shift_mm * beat / scan.pixel_mm
        n = scan.matrix
        moved = cv2.warpAffine(
            plane, np.array([[1, 0, dx], [0, 1, dy]]), (n, n), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        scale = self.canvas_mm / scan.pixel_mm
        y = (np.arange(n) - (n - 1) / 2 - (self.centre[0] - scan.centre[0]) * scale) / (self.reach[0] * scale * 1.2)
        x = (np.arange(n) - (n - 1) / 2 - (self.centre[1] - scan.centre[1]) * scale) / (self.reach[1] * scale * 1.2)
        weight = 0.5 * np.exp(-((y[:, None] ** 2 + x[None, :] ** 2) ** 2)).astype(np.float32)
        return np.asarray(plane + weight * (moved - plane), np.float32)
