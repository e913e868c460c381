"""What a simulated study may vary in: one frozen value, every range with its unit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cascade.simulation.errors import SimulationError

Range = tuple[float, float]
Counts = tuple[int, int]

CHANCE = (0.0, 1.0)
LIMITS: Mapping[str, Range] = {
    "canvas_mm": (0.4, 4.0),
    "matrix": (32, 2048),
    "emboli": (0, 50),  # as --emboli
    "burden_ml": (0.0, 200.0),  # arteries hold 100 to 450
    "clot_hu": (15.0, 130.0),  # what is beyond is cut off when a clot is painted
    "contrast_hu": (60.0, 2000.0),  # blood without contrast has up to 55
    "cava_hu": (30.0, 3000.0),
    "pixel_mm": (0.2, 3.0),
    "fov_mm": (200.0, 700.0),
    "slice_mm": (0.3, 10.0),
    "slice_weights": (0.0, 1000.0),
    "thickness": (0.2, 5.0),
    "noise_hu": (0.1, 200.0),  # drawn log-uniformly: 0 is infinitely far
    "texture": (0.0, 5.0),
    "scale": (0.5, 2.0),
    "bend_mm": (0.0, 30.0),
    "rotation_deg": (0.0, 45.0),
    "crop_mm": (0.0, 60.0),
    "fat_mm": (0.0, 100.0),
    "mimics": (0.0, 5.0),
    "nodes": (0, 40),
    "devices": (0.0, 4.0),  # from 2 on, what comes half as often is certain too
}
"""Lowest and highest number of a setting; those that are not named lie from 0 to 1, as chances do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulation:
    """The ranges that a simulated CT pulmonary angiogram is drawn from.

    Ranges are (low, high) and drawn from uniformly unless said otherwise; chances are 0..1.

    Attributes:
        canvas_mm: Voxel of the isotropic canvas that tissue is painted on, mm; 2.0 is for fast tests.
        matrix: Rows and columns of the study.
        positive: Chance that a study has emboli at all.
        emboli: Fewest and most emboli of a study that has some.
        burden_ml: Range that the total clot volume is clipped to, ml (drawn log-normally, median 6 ml).
        clot_hu: Mean HU of a clot.
        occlusive: Chance that an embolus fills its artery, in arteries of a radius under 5 mm and in wider ones.
        chronic: Chance that an embolus hugs the wall or is a web, as old ones do.
        sheets: Chance that a large embolus is a flat band in a central artery, often across its fork.
        filled: Chance that all emboli of a study fill lobar, segmental and subsegmental branches whole, through their
            forks: no blood around them, little or none behind.
        widening: By how much of its radius an artery widens where a clot fills it.
        starved: Chance that little contrast gets past a clot that fills its artery.
        contrast_hu: Pulmonary trunk, HU above 0.
        timing: Chances of an early, good and late bolus (veins and left heart dark, similar, brighter).
        cava_hu: Superior vena cava in an early or good bolus, HU.
        pixel_mm: Pixel spacing that the field of view is clipped to, mm.
        fov_mm: Field of view; the drawn value is widened to hold both lungs where it can, mm.
        slice_mm: Distances between slices to choose from, mm.
        slice_weights: Chance of each distance in `slice_mm`.
        thickness: Slice thickness in slice distances.
        noise_hu: Standard deviation of noise in the middle of the chest with a soft kernel, HU (log-uniform).
        sharpness: Kernel, 0 soft to 1 sharp with overshoot; soft ones come more often.
        iterative: Chance of iterative reconstruction: less noise, and more of it at low frequencies.
        alike: Correlation of noise between neighbouring slices, where they are not almost independent.
        texture: Factor on the unevenness of muscle, fat, bone and blood.
        scale: Factor of the anatomy's size on each axis.
        bend_mm: Amplitude of the smooth deformation of the anatomy, mm.
        rotation_deg: Rotation about the long axis, degrees either way.
        crop_mm: How far the scan may end inside the lungs at each end, mm (chance `crop`).
        crop: Chance of such a cut at each end.
        fat_mm: Subcutaneous fat, mm.
        arms_down: Chance that the arms lie beside the body.
        mimics: Factor on the chance of every mimic below; 0 leaves a clean chest.
        nodes: Fewest and most visible lymph nodes beside the arteries of both hila; as many lie around the airway.
        enlarged_nodes: Chance that a study has enlarged nodes.
        consolidation: Chance of consolidated or collapsed lung.
        dependent: Chance of dependent (posterior, basal) density.
        effusion: Chance of pleural effusion, each side.
        mucus: Chance of bronchi filled with mucus.
        nodules: Chance of lung nodules.
        motion: Chance of cardiac motion blur.
        streaks: Chance of streaks from dense contrast in the cava.
        emphysema: Chance of emphysema.
        fibrosis: Chance of a net of scars in the outer lung.
        devices: Chance of a central line; leads, wires and clips come half as often.
        table: Chance that the table shows.
    """

    canvas_mm: float = 1.0
    matrix: int = 512
    positive: float = 0.5
    emboli: Counts = (1, 15)
    burden_ml: Range = (0.03, 60.0)
    clot_hu: Range = (35.0, 90.0)
    occlusive: tuple[float, float] = (0.75, 0.45)
    chronic: float = 0.12
    sheets: float = 0.35
    filled: float = 0.0
    widening: Range = (0.0, 0.25)
    starved: float = 0.5
    contrast_hu: Range = (150.0, 600.0)
    timing: tuple[float, float, float] = (0.3, 0.5, 0.2)
    cava_hu: Range = (250.0, 1500.0)
    pixel_mm: Range = (0.55, 0.95)
    fov_mm: Range = (290.0, 430.0)
    slice_mm: tuple[float, ...] = (0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
    slice_weights: tuple[float, ...] = (0.05, 0.2, 0.2, 0.15, 0.2, 0.15, 0.05)
    thickness: Range = (1.0, 1.6)
    noise_hu: Range = (9.0, 36.0)
    sharpness: Range = (0.0, 1.0)
    iterative: float = 0.45
    alike: Range = (0.1, 0.6)
    texture: Range = (0.5, 1.4)
    scale: Range = (0.86, 1.14)
    bend_mm: Range = (2.0, 9.0)
    rotation_deg: float = 7.0
    crop_mm: Range = (0.0, 60.0)
    crop: float = 0.25
    fat_mm: Range = (4.0, 38.0)
    arms_down: float = 0.2
    mimics: float = 1.0
    nodes: Counts = (2, 8)
    enlarged_nodes: float = 0.15
    consolidation: float = 0.4
    dependent: float = 0.6
    effusion: float = 0.22
    mucus: float = 0.3
    nodules: float = 0.35
    motion: float = 0.5
    streaks: float = 0.7
    emphysema: float = 0.15
    fibrosis: float = 0.1
    devices: float = 0.25
    table: float = 0.7

    def __post_init__(self) -> None:
        """Refuse a config that nothing can be drawn from, before a study is begun."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low, high = LIMITS.get(field.name, CHANCE)
            numbers = value if isinstance(value, tuple) else (value,)
            if not numbers:
                raise SimulationError(f"simulation.{field.name} is empty; give at least one number")
            if not all(low <= number <= high for number in numbers):
                each = "each number" if isinstance(value, tuple) else "it"
                raise SimulationError(
                    f"simulation.{field.name} is {_said(value)}; {each} must be from {low:g} to {high:g}"
                )
            if str(field.type) in ("Range", "Counts") and value[0] > value[1]:
                raise SimulationError(f"simulation.{field.name} is {_said(value)}; write the lower number first")
        if len(self.slice_mm) != len(self.slice_weights):
            text = f"simulation.slice_mm has {len(self.slice_mm)} distances and slice_weights {len(self.slice_weights)}"
            raise SimulationError(f"{text}; give each distance one weight")
        for name in ("slice_weights", "timing"):
            if not sum(getattr(self, name)) > 0:
                raise SimulationError(f"simulation.{name} is {_said(getattr(self, name))}; one of them must be over 0")

    def digest(self) -> str:
        """First 16 hex digits of SHA-256 over the config, to name what a study was drawn from."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class SimulationSettings:
    """The settings of `cascade simulate`.

    Attributes:
        simulation: The ranges that each study is drawn from; (low, high), drawn from uniformly unless said otherwise.
    """

    simulation: Simulation = dataclasses.field(default_factory=Simulation)


def _said(value: Any) -> str:
    """A value as it is written on a command line."""
    return f"[{', '.join(f'{number:g}' for number in value)}]" if isinstance(value, tuple) else f"{value:g}"
