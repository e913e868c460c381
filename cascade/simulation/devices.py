"""What surgeons leave behind: lines with their ports, leads of pacemakers, wires of the breastbone, clips."""

from __future__ import annotations

import numpy as np

from cascade.simulation import shapes
from cascade.simulation.canvas import Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.heart import Heart
from cascade.simulation.landmarks import BINS, Landmarks
from cascade.simulation.shapes import Points
from cascade.simulation.tree import Path

METAL_HU = 3000.0


def paint(
    canvas: Canvas, marks: Landmarks, heart: Heart, cava: Points, paths: list[Path], config: Simulation,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Put devices into some chests; HU alone change, for what lies beneath keeps its name.

    Args:
        canvas: A chest that is complete.
        marks: Its landmarks.
        heart: Where leads end.
        cava: The superior vena cava from below, which lines and leads come down.
        paths: Ways along the arteries; clips lie beside them.
        config: How often.
        rng: Source of every draw.
    """
    chance = min(config.devices * config.mimics, 1.0)
    line, leads, wires, clips = rng.random(4) < chance * np.array([1.0, 0.6, 0.5, 0.7])
    if line:
        _line(canvas, marks, cava, port=bool(rng.random() < 0.5), rng=rng)
    if leads:
        _leads(canvas, heart, cava, rng)
    if wires:
        _wires(canvas, marks, rng)
    if clips and paths:
        _clips(canvas, paths, rng)


def _line(canvas: Canvas, marks: Landmarks, cava: Points, port: bool, rng: np.random.Generator) -> None:
    """A catheter from the right side of the neck or from a port under the skin to the lower cava."""
    mm = canvas.mm
    tip = int(rng.integers(0, len(cava) // 2))
    aside = np.array([0.0, *rng.uniform(-3, 3, 2)]) / mm
    down = cava[tip:] + aside
    z = int(np.clip(marks.lung_z[1] - rng.uniform(10, 45) / mm, 0, canvas.shape[0] - 1))
    start = _under_the_skin(canvas, marks, z, rng.uniform(232, 250)) if port else np.array([canvas.shape[0], 0.0, 0.0])
    if not port:
        start[1:] = down[-1][1:] + np.array([-6, -26]) / mm
    over = np.array([canvas.shape[0] - 1.0, *(0.5 * (start[1:] + down[-1][1:]))])
    path = np.vstack([down[::4], shapes.curve(np.array([down[-1], over, start]), 30)])
    canvas.paint_tube(shapes.curve(path, 160), rng.uniform(0.9, 1.5), float(rng.uniform(400, 1600)))
    if port:
        canvas.paint_ellipsoid(start, np.array([11.0, 5.0, 11.0]), float(rng.uniform(1200, METAL_HU)))
        canvas.paint_ellipsoid(start, np.array([7.0, 2.5, 7.0]), float(rng.uniform(0, 300)))


def _leads(canvas: Canvas, heart: Heart, cava: Points, rng: np.random.Generator) -> None:
    """One or two leads through the cava into the right heart."""
    mm = canvas.mm
    inflow = heart.right_atrium + np.array([-12, -10, 14]) / mm
    for end in (0.45 * inflow + 0.55 * heart.apex, heart.right_atrium + np.array([6, -16, 4]) / mm)[
        : int(rng.integers(1, 3))
    ]:
        aside = np.array([0.0, *rng.uniform(-3, 3, 2)]) / mm
        path = np.vstack([cava[::-6] + aside, heart.right_atrium[None], (0.5 * (inflow + end))[None], end[None]])
        canvas.paint_tube(shapes.curve(path, 200), rng.uniform(0.8, 1.2), METAL_HU)


def _wires(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> None:
    """Loops of wire around a breastbone that was sawn through."""
    low, high = marks.fork[0] - 70 / canvas.mm, marks.lung_z[1] - 15 / canvas.mm
    for z in np.linspace(low, high, int(rng.integers(4, 7))):
        if not 0 <= z < canvas.shape[0]:
            continue
        centre = _under_the_skin(canvas, marks, int(z), rng.uniform(266, 274), depth_mm=4.0)
        turn = np.linspace(0, 1.7 * np.pi, 30)
        loop = np.stack([rng.uniform(-1, 1) * turn, 5 * np.sin(turn), 9 * np.cos(turn)], axis=1) / canvas.mm
        canvas.paint_tube(centre + loop, 0.7, METAL_HU)


def _clips(canvas: Canvas, paths: list[Path], rng: np.random.Generator) -> None:
    """A handful of clips where something was taken out of a hilum."""
    path = paths[int(rng.integers(len(paths)))]
    at = path.points[int(rng.integers(len(path.points) // 4, len(path.points)))]
    for _ in range(int(rng.integers(2, 8))):
        centre = at + rng.normal(0, 9, 3) / canvas.mm
        canvas.paint_ellipsoid(centre, np.array([0.9, 0.9, 2.8]), METAL_HU, None, shapes.random_axes(rng))


def _under_the_skin(canvas: Canvas, marks: Landmarks, z: int, degrees: float, depth_mm: float = 14.0) -> Points:
    """A place outside the ribs: 180 degrees is the patient's right, 270 the front."""
    turn = np.deg2rad(degrees)
    reach = marks.wide[z, int(degrees / 360 * BINS) % BINS] + depth_mm / canvas.mm
    return np.array([z, marks.axis[0] + np.sin(turn) * reach, marks.axis[1] + np.cos(turn) * reach])
