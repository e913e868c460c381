"""The bolus: how bright blood is in each vessel, and how unevenly it is mixed."""

from __future__ import annotations

import dataclasses

import numpy as np

from cascade.simulation import shapes
from cascade.simulation.config import Simulation
from cascade.simulation.shapes import F32


@dataclasses.dataclass(frozen=True)
class Bolus:
    """Blood and enhanced tissue, HU.

    Attributes:
        timing: "early", "good" or "late".
        artery: Pulmonary arteries.
        right_heart: Right ventricle; the atrium mixes it with `cava` and unenhanced blood.
        right_atrium: Right atrium.
        cava: Superior vena cava.
        cava_lower: Inferior vena cava (reflux makes it bright).
        vein: Pulmonary veins and left atrium.
        left_heart: Left ventricle.
        aorta: Aorta.
        plain: Blood without contrast: azygos, systemic veins.
        azygos: Azygos vein (bright where contrast flows back).
        muscle: Myocardium.
        organ: Liver and spleen.
        mixing: Relative amplitude of uneven mixing in arteries.
    """

    timing: str
    artery: float
    right_heart: float
    right_atrium: float
    cava: float
    cava_lower: float
    vein: float
    left_heart: float
    aorta: float
    plain: float
    azygos: float
    muscle: float
    organ: float
    mixing: float


def draw(config: Simulation, rng: np.random.Generator) -> Bolus:
    """Draw a bolus: how bright the arteries are, and how far it has come."""
    low, high = config.contrast_hu
    artery = float(low + (high - low) * rng.beta(1.6, 2.0))
    chances = np.array(config.timing) / sum(config.timing)
    timing = ("early", "good", "late")[int(rng.choice(3, p=chances))]
    plain = float(rng.uniform(30, 55))
    span = artery - plain
    if timing == "early":
        vein = plain + span * rng.uniform(0.0, 0.45)
        aorta = plain + (vein - plain) * rng.uniform(0.0, 0.7)
    elif timing == "good":
        vein = plain + span * rng.uniform(0.6, 1.1)
        aorta = plain + (vein - plain) * rng.uniform(0.5, 1.0)
    else:
        vein = plain + span * rng.uniform(0.95, 1.35)
        aorta = plain + span * rng.uniform(0.9, 1.4)
    left = vein + (aorta - vein) * rng.uniform(0.2, 0.8)
    cava = rng.uniform(*config.cava_hu)
    if timing == "late" or rng.random() < 0.2:
        cava = plain + span * rng.uniform(0.4, 1.1)
    right = artery * rng.uniform(0.85, 1.15)
    atrium = plain + (right - plain) * rng.uniform(0.6, 1.05)
    lower = plain + rng.uniform(0, 60) if rng.random() < 0.65 else atrium * rng.uniform(0.5, 0.95)
    azygos = plain + rng.uniform(-5, 50) if rng.random() < 0.75 else cava * rng.uniform(0.3, 0.9)
    muscle = 60 + 0.16 * max(left, right) * rng.uniform(0.3, 1.2)
    organ = 55 + rng.uniform(0, 25) + (25 if timing == "late" else 0)
    mixing = rng.uniform(0.0, 0.12) if rng.random() < 0.8 else rng.uniform(0.12, 0.28)
    return Bolus(
        timing, artery, float(right), float(atrium), float(cava), float(lower), float(vein), float(left),
        float(aorta), plain, float(azygos), float(muscle), float(organ), float(mixing),
    )  # fmt: skip


def uneven(shape: tuple[int, int, int], mm: float, amplitude: float, rng: np.random.Generator) -> F32:
    """A factor near 1 for `[z, y, x]`: slow mixing, and layering from front to back."""
    slow = shapes.noise(shape, 28 / mm, rng)
    fine = shapes.noise(shape, 9 / mm, rng)
    layer = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :, None] * np.float32(rng.uniform(-0.5, 1.0))
    return np.asarray(1 + np.float32(amplitude) * (0.6 * slow + 0.25 * fine + layer), np.float32)
