"""What lies under the diaphragm: liver, spleen, stomach with gas, fat between."""

from __future__ import annotations

import cv2
import numpy as np

from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.contrast import Bolus
from cascade.simulation.landmarks import Landmarks


def paint(canvas: Canvas, marks: Landmarks, bolus: Bolus, rng: np.random.Generator) -> None:
    """Fill the hull below the diaphragm; lungs, heart and vessels are painted over it later."""
    mm = canvas.mm
    nz, ny, nx = canvas.shape
    dome = np.asarray(cv2.resize(marks.diaphragm, (nx, ny), interpolation=cv2.INTER_LINEAR), np.float32)
    middle = float(np.median(marks.spine[:, 1]))
    x = (np.arange(nx, dtype=np.float32) - middle)[None, :] * mm
    y = (np.arange(ny, dtype=np.float32) - marks.axis[0])[:, None] * mm
    border = 25 + rng.uniform(-15, 25) + 12 * shapes.noise((nz, ny), 60 / mm, rng)
    spleen_front = rng.uniform(5, 35)
    stomach_r = rng.uniform(28, 52)
    stomach = np.array(
        [float(marks.diaphragm.max()) - rng.uniform(25, 55) / mm, rng.uniform(-35, 0), rng.uniform(40, 65)]
    )
    gas = rng.uniform(-0.6, 0.4)
    liver_hu, spleen_hu = bolus.organ, bolus.organ * rng.uniform(0.9, 1.35)
    texture = 4 * shapes.noise((32, ny, nx), (3, 5 / mm, 5 / mm), rng)
    content = rng.uniform(5, 50)
    for z in range(min(int(dome.max()) + 3, nz)):
        below = shapes.soft(z - dome, 2.0) * shapes.soft(marks.radius - marks.hull[z][marks.direction] + 2 / mm)
        if not below.any():
            continue
        fill = np.full((ny, nx), -95, np.float32) + texture[z % 32]
        label = np.full((ny, nx), LABELS["body"], np.uint8)
        liver = shapes.soft((x - border[z][:, None]) / mm, 3.0)
        fill += liver * (liver_hu + texture[z % 32] * 0.6 - fill)
        label[liver > 0.5] = LABELS["liver"]
        along = ((z - float(marks.diaphragm.min())) * mm + 10) / 70
        oval = np.sqrt(((x - 92) / 34) ** 2 + ((y - spleen_front - 40) / 52) ** 2 + along**2) - 1
        spleen = shapes.soft(oval * 30 / mm, 3.0)
        fill += spleen * (spleen_hu - fill)
        label[spleen > 0.5] = LABELS["spleen"]
        dz = (z - stomach[0]) * mm
        ball = np.sqrt((dz / 1.2) ** 2 + (y - stomach[1]) ** 2 + ((x - stomach[2]) * 0.85) ** 2) - stomach_r
        wall = shapes.soft(ball / mm)
        fill += wall * (50 - fill)
        lumen = shapes.soft((ball + 4) / mm)
        # Gas rises to the front of someone lying on the back.
        level = stomach[1] + gas * stomach_r
        inside = np.where(y < level, -980.0, content).astype(np.float32)
        fill += lumen * (inside - fill)
        label[wall > 0.5] = LABELS["stomach"]
        spine_y = (marks.spine[z, 0] - marks.axis[0]) * mm
        retro = shapes.soft(
            (np.hypot(x / 56, (y - spine_y - 14) / 40) - 1) * 30 / mm + 0.5 * texture[(z + 9) % 32] / mm, 5.0
        )
        fill += retro * (-95 + texture[z % 32] - fill)
        crus = shapes.soft(
            (np.hypot((np.abs(x) - 17) / 5, (y - (marks.spine[z, 0] - marks.axis[0]) * mm + 12) / 14) - 1) * 5 / mm
        )
        fill += crus * (52 - fill)
        part = canvas.hu[z]
        part += below * (fill - part)
        canvas.labels[z][below > 0.5] = label[below > 0.5]
