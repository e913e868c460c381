"""Bronchi beside the arteries: dark lumen, thin wall, sometimes filled with mucus."""

from __future__ import annotations

import numpy as np

from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.landmarks import Landmarks
from cascade.simulation.shapes import Points
from cascade.simulation.tree import Path


def bronchi(
    canvas: Canvas,
    marks: Landmarks,
    paths: list[Path],
    ends: tuple[Points, Points],
    mucus: bool,
    rng: np.random.Generator,
) -> None:
    """Paint a bronchus along each path, from the main bronchus of its side outwards.

    The side on which a bronchus lies depends on the path alone, so that paths share it up to where they part.
    """
    mm = canvas.mm
    guide = shapes.unit(np.array([0.5, 0.7, 0.3]) + rng.normal(0, 0.1, 3))
    scale, thick = rng.uniform(0.7, 1.0), rng.uniform(0.6, 1.1)
    balls: dict[int, tuple[Points, float]] = {}
    plugged: list[tuple[Points, np.ndarray]] = []
    for path in paths:
        at = np.clip(np.rint(path.points).astype(int), 0, np.array(canvas.shape) - 1)
        in_lung = canvas.lung[tuple(at.T)] >= 128
        near_hilum = np.min([np.linalg.norm(path.points - h, axis=1) for h in marks.hila], axis=0) * mm < 16
        keep = np.flatnonzero((path.radius < 7.5) & (path.radius > 1.05 * max(mm, 0.8)) & (in_lung | near_hilum))
        if keep.size < 8:
            continue
        tangent = np.gradient(path.points, axis=0)[keep]
        side = np.cross(tangent, guide)
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
        lumen = np.minimum(scale * path.radius[keep], 5.0)
        points = path.points[keep] + side * ((path.radius[keep] + lumen + thick + 0.3) / mm)[:, None]
        right = points[0, 2] < marks.spine[0, 1]
        main = ends[0] if right else ends[1]
        if np.linalg.norm(points[0] - main) * mm < 45 and keep[0] not in balls:
            join = shapes.curve(np.array([main, 0.5 * (main + points[0]), points[0]]), 20)
            for i, p in enumerate(join):
                balls[-len(balls) - 1] = (p, float(lumen[0] + (1 - i / 19) * 1.0))
        for node, point, r in zip(path.nodes[keep], points, lumen, strict=True):
            balls.setdefault(int(node), (point, float(r)))
        if mucus and rng.random() < 0.25:
            cut = int(len(points) * rng.uniform(0.1, 0.6))
            plugged.append((points[cut:], lumen[cut:]))
    if not balls:
        return
    points = np.array([b[0] for b in balls.values()])
    radii = np.array([b[1] for b in balls.values()])
    box = shapes.box_around(canvas.shape, points.min(0) - 12 / mm, points.max(0) + 12 / mm)
    if box is None:
        return
    distance = np.full([s.stop - s.start for s in box], np.float32(3.0))
    shapes.splat(distance, points - np.array([s.start for s in box]), radii / mm, 3.0)
    wall_hu = rng.uniform(-150, 30)
    part, labels = canvas.hu[box], canvas.labels[box]
    near = np.nonzero(distance < 2.0)
    d = distance[near]
    wall = shapes.soft(d - thick / mm)
    value = part[near]
    value += wall * (wall_hu - value)
    lumen_alpha = shapes.soft(d)
    part[near] = value + lumen_alpha * (-985 - value)
    labels[tuple(n[lumen_alpha >= 0.5] for n in near)] = LABELS["airway"]
    for points, radii in plugged:
        canvas.paint_tube(points, radii, rng.uniform(5, 50), "airway")
