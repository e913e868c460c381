"""Great vessels, gullet and windpipe between the lungs."""

from __future__ import annotations

import dataclasses

import numpy as np

from cascade.simulation import shapes
from cascade.simulation.canvas import Canvas
from cascade.simulation.contrast import Bolus
from cascade.simulation.heart import Heart
from cascade.simulation.landmarks import Landmarks
from cascade.simulation.shapes import Points


@dataclasses.dataclass(frozen=True)
class Ascending:
    """Where the ascending aorta stands at the fork of the trunk: radius in mm, place in voxels."""

    radius: float
    y: float
    x: float


def ascending(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> Ascending:
    """Choose the ascending aorta; the cava stands beside it."""
    row = int(np.clip(marks.fork[0], 0, canvas.shape[0] - 1))
    mm = canvas.mm
    x = marks.spine[row, 1] - rng.uniform(2, 11) / mm
    return Ascending(rng.uniform(12.0, 17.0), float(marks.trunk[1] + rng.uniform(6, 16) / mm), float(x))


def aorta(
    canvas: Canvas, marks: Landmarks, heart: Heart, rise: Ascending, bolus: Bolus, rng: np.random.Generator
) -> None:
    """Root, ascending aorta, arch with three branches, descending aorta."""
    mm = canvas.mm
    r = rise.radius
    top = marks.fork[0] + rng.uniform(34, 50) / mm
    cross = min(top, marks.lung_z[1] - 30 / mm)
    up_x, up_y = rise.x, rise.y
    down_z = np.linspace(cross - 22 / mm, 0, 9)
    spine = marks.spine[np.clip(down_z.astype(int), 0, canvas.shape[0] - 1)]
    room = marks.spine_radius[np.clip(down_z.astype(int), 0, canvas.shape[0] - 1)]
    drift = np.linspace(1.0, 0.45, len(down_z))
    down_x = spine[:, 1] + drift * (room * 0.72 + (0.75 * r) / mm)
    down_y = spine[:, 0] - room * 0.62 - (0.62 * r) / mm - (1 - drift) * 10 / mm
    down = np.stack([down_z, down_y, down_x], axis=1)
    up = np.array([
        heart.root,
        [0.5 * (heart.root[0] + marks.fork[0]), up_y + 4 / mm, up_x - 2 / mm],
        [marks.fork[0], up_y, up_x - 2 / mm],
        [cross - 14 / mm, up_y + 4 / mm, up_x + 1 / mm],
    ])  # fmt: skip
    arch = np.array([
        [cross, up_y + 12 / mm, up_x + 10 / mm],
        [cross + 3 / mm, 0.5 * (up_y + down_y[0]) - 2 / mm, 0.35 * up_x + 0.65 * down_x[0] + 4 / mm],
        [cross - 6 / mm, down_y[0] - 10 / mm, down_x[0] + 2 / mm],
    ])  # fmt: skip
    path = shapes.curve(np.vstack([up, arch, down]), 120)
    radii = np.interp(np.linspace(0, 1, 120), [0, 0.1, 0.3, 0.5, 1], [r * 1.12, r * 1.1, r, r * 0.85, r * 0.72])
    # Fluid in the pericardial recesses: a dark crescent behind and beside the ascending aorta.
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(12, 34))
        away = np.array([0.0, rng.uniform(-1, 1), rng.uniform(-1, 1)])
        recess = path[at : at + int(rng.integers(5, 14))] + shapes.unit(away) * (r + rng.uniform(-1.0, 2.5)) / mm
        canvas.paint_tube(recess, rng.uniform(2.5, 5.0), rng.uniform(2, 32))
    canvas.paint_tube(path, radii, bolus.aorta, "aorta", wall=(1.3, 48.0))
    starts = arch[1] + np.array([[4, -14, -10], [4, -3, 0], [3, 9, 6]]) / mm
    ends = marks.axis[1] + np.array([-20.0, 14.0, 30.0]) / mm
    for start, x, radius in zip(starts, ends, (6.0, 3.8, 5.0), strict=True):
        goal = np.array([canvas.shape[0] + 5, start[1] - rng.uniform(-6, 8) / mm, x])
        bend = 0.5 * (start + goal) + rng.normal(0, 3 / mm, 3)
        canvas.paint_tube(shapes.curve(np.array([start, bend, goal])), radius, bolus.aorta, "aorta", wall=(1.0, 45.0))


def caval(
    canvas: Canvas, marks: Landmarks, heart: Heart, rise: Ascending, bolus: Bolus, rng: np.random.Generator
) -> Points:
    """Both venae cavae, the brachiocephalic veins and the azygos. Returns the superior cava's path."""
    mm = canvas.mm
    ra = heart.right_atrium
    top = min(marks.fork[0] + rng.uniform(55, 75) / mm, marks.lung_z[1] - 8 / mm)
    r = rng.uniform(6.5, 10.5)
    angle = rng.uniform(0.25, 0.75)  # to the right of the aorta and a little behind
    apart = (rise.radius + r + 2.0) / mm
    y, x = rise.y + np.sin(angle) * apart, rise.x - np.cos(angle) * apart
    path = shapes.curve(np.array([
        ra + np.array([24, 0, 4]) / mm, [marks.fork[0] - 10 / mm, y, x], [marks.fork[0] + 10 / mm, y - 2 / mm, x],
        [0.5 * (marks.fork[0] + top), y - 5 / mm, x], [top, y - 8 / mm, x - 2 / mm],
    ]))  # fmt: skip
    shape = np.linspace(1.1, 0.9, len(path)) * r
    canvas.paint_tube(path, shape, bolus.cava, "cava", wall=(0.8, 45.0))
    if rng.random() < 0.6:  # blood without contrast flows in beside the dense stream
        part = path[int(rng.integers(0, 10)) : int(rng.integers(22, 40))]
        turn = rng.uniform(0, 2 * np.pi)
        sidewise = np.array([0.0, np.sin(turn), np.cos(turn)]) * rng.uniform(0.5, 0.95) * r / mm
        canvas.paint_tube(
            part + sidewise,
            r * rng.uniform(0.25, 0.55),
            bolus.plain + rng.uniform(0, 0.5) * (bolus.cava - bolus.plain),
            "cava",
        )
    # One arm brings the contrast; the other side's vein carries plain blood.
    bright_side = -1 if rng.random() < 0.6 else 1
    left_hu = bolus.cava * 0.9 if bright_side > 0 else bolus.plain + rng.uniform(-5, 30)
    right_hu = bolus.cava if bright_side < 0 else bolus.plain + rng.uniform(-5, 30)
    high = canvas.shape[0] + 4.0
    left = shapes.curve(np.array([
        path[-1], path[-1] + np.array([4, -12, 26]) / mm, path[-1] + np.array([10, -8, 56]) / mm,
        [high, y - 12 / mm, x + 85 / mm],
    ]))  # fmt: skip
    right = shapes.curve(np.array([path[-1], path[-1] + np.array([18, -2, -8]) / mm, [high, y, x - 26 / mm]]))
    canvas.paint_tube(left, rng.uniform(5, 7.5), left_hu, "cava")
    canvas.paint_tube(right, rng.uniform(5, 7), right_hu, "cava")
    top_right = np.array([marks.lung_z[1] + 4 / mm, y + 4 / mm, x - 30 / mm])
    arm = shapes.curve(
        np.array([top_right, top_right + np.array([6, 6, -60]) / mm, top_right + np.array([16, 24, -150]) / mm])
    )
    canvas.paint_tube(arm, 5.5, right_hu * (1.3 if bright_side < 0 else 1.0), "cava")
    low = ra + np.array([-30, 14, 2]) / mm
    canvas.paint_tube(
        shapes.curve(np.array([ra + np.array([-14, 4, 0]) / mm, low, [-5, low[1] + 18 / mm, low[2] + 4 / mm]])),
        rng.uniform(9, 13), bolus.cava_lower, "cava", wall=(0.8, 50.0),
    )  # fmt: skip
    _azygos(canvas, marks, path, bolus, rng)
    return path


def _azygos(canvas: Canvas, marks: Landmarks, cava: Points, bolus: Bolus, rng: np.random.Generator) -> None:
    mm = canvas.mm
    arch_z = min(marks.fork[0] + rng.uniform(16, 28) / mm, canvas.shape[0] - 2)
    z = np.linspace(0, arch_z - 8 / mm, 8)
    rows = np.clip(z.astype(int), 0, canvas.shape[0] - 1)
    room = marks.spine_radius[rows]
    climb = np.stack([z, marks.spine[rows, 0] - room * 0.95 - 4 / mm, marks.spine[rows, 1] - 5 / mm], axis=1)
    nearest = cava[int(np.abs(cava[:, 0] - arch_z).argmin())]
    turn = np.array([arch_z, 0.45 * nearest[1] + 0.55 * climb[-1, 1], nearest[2] - 2 / mm])
    canvas.paint_tube(
        shapes.curve(np.vstack([climb, turn, nearest]), 80), rng.uniform(2.8, 5.2), bolus.azygos, "azygos"
    )
    side = climb + np.array([0, 3, 16]) / mm
    canvas.paint_tube(shapes.curve(side[:6]), rng.uniform(1.6, 2.8), bolus.azygos, "azygos")


def oesophagus(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    """A collapsed or gas-holding gullet in front of the spine."""
    mm = canvas.mm
    z = np.linspace(0, canvas.shape[0] - 1, 14)
    rows = z.astype(int)
    low = np.clip((marks.fork[0] - z) / (120 / mm), 0, 1)
    y = marks.spine[rows, 0] - marks.spine_radius[rows] * 0.9 - (7 + 10 * low) / mm
    x = marks.spine[rows, 1] + (4 + 8 * low) / mm + rng.normal(0, 1 / mm, len(z))
    path = shapes.curve(np.stack([z, y, x], axis=1), 100)
    canvas.paint_tube(path, rng.uniform(5.5, 8.0), rng.uniform(38, 60), "oesophagus")
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(0, len(path) - 14))
        canvas.paint_tube(path[at : at + int(rng.integers(3, 14))], rng.uniform(1.2, 4.0), -900.0, "oesophagus")


def thyroid(canvas: Canvas, marks: Landmarks, bolus: Bolus, rng: np.random.Generator) -> None:
    """Two lobes beside the windpipe, bright by their iodine, where the scan reaches up to them."""
    mm = canvas.mm
    row = int(np.clip(marks.lung_z[1], 0, canvas.shape[0] - 1))
    z = marks.lung_z[1] + rng.uniform(0, 26) / mm
    ahead = marks.spine[row, 0] - marks.spine_radius[row] - 19 / mm
    value = rng.uniform(80, 130) + 0.2 * max(bolus.artery - bolus.plain, 0)
    for side in (-1, 1):
        centre = np.array([z, ahead, marks.spine[row, 1] + side * rng.uniform(15, 20) / mm])
        radii = np.array([rng.uniform(14, 26), rng.uniform(7, 11), rng.uniform(6, 10)])
        canvas.paint_ellipsoid(centre, radii, float(value), None, None, ("body",))


def windpipe(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> tuple[Points, Points, Points]:
    """Trachea and main bronchi. Returns the fork of the airway and the ends of the right and left bronchus."""
    mm = canvas.mm
    fork = marks.fork
    z = float(fork[0] + rng.uniform(6, 16) / mm)
    row = int(np.clip(z, 0, canvas.shape[0] - 1))
    y_spine = marks.spine[row, 0] - marks.spine_radius[row]
    carina = np.array(
        [z, min(max(fork[1] + 14 / mm, y_spine - 24 / mm), y_spine - 14 / mm), marks.spine[row, 1] - 4 / mm]
    )
    apex = int(np.clip(marks.lung_z[1], 0, canvas.shape[0] - 1))
    ahead = marks.spine[apex, 0] - marks.spine_radius[apex] - 17 / mm
    top = np.array([canvas.shape[0] + 3.0, min(carina[1] - 14 / mm, ahead), marks.spine[apex, 1] - 2 / mm])
    r = rng.uniform(7.2, 9.8)
    right_hilum, left_hilum = marks.hila
    right = carina + np.array([-26, 6, -38]) / mm
    right = 0.6 * right + 0.4 * (right_hilum + np.array([-6, 10, 6]) / mm)
    left = carina + np.array([-34, 8, 46]) / mm
    left = 0.6 * left + 0.4 * (left_hilum + np.array([-8, 4, -4]) / mm)
    wall = (rng.uniform(1.0, 1.9), 30.0)
    air = -990.0
    trunkline = shapes.curve(np.array([top, 0.5 * (top + carina) + [0, -2 / mm, 0], carina]))
    low_right = right + np.array([-26, 6, -6]) / mm
    low_left = left + np.array([-22, 8, 8]) / mm
    lift = np.array([3 / mm, 0.0, 0.0])
    ways = [
        (trunkline, np.full(len(trunkline), r)),
        (
            shapes.curve(np.array([carina + lift, 0.5 * (carina + right), right, low_right])),
            np.linspace(0.82, 0.5, 40) * r,
        ),
        (
            shapes.curve(np.array([carina + lift, 0.5 * (carina + left), left, low_left])),
            np.linspace(0.75, 0.45, 40) * r,
        ),
    ]
    for path, radii in ways:
        got = shapes.tube(canvas.shape, path, (radii + wall[0]) / mm)
        if got is not None:
            canvas.paint(shapes.soft(got[1]), wall[1], got[0])
    for path, radii in ways:
        canvas.paint_tube(path, radii, air, "airway")
    return carina, right, left
