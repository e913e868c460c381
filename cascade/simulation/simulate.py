"""One study from one seed: anatomy, contrast, clots, mimics, scanner, and the truth of it all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.simulation import (
    abdomen,
    airways,
    artefacts,
    augment,
    bones,
    capillaries,
    contrast,
    devices,
    emboli,
    heart,
    landmarks,
    lungs,
    mediastinum,
    mimics,
    scanner,
    texture,
    tree,
    wall,
)
from cascade.simulation.anatomy import Anatomy
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.noise import Noise
from cascade.simulation.procedural import build
from cascade.simulation.truth import findings

STREAMS = (
    "anatomy", "shape", "bolus", "body", "emboli", "mimics", "scanner", "noise", "tree", "look", "texture", "devices",
)  # fmt: skip
"""Sources of random numbers, one a part: a change of one part leaves the others as they were."""


@dataclasses.dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated study and what is true of it.

    Attributes:
        study: The CT, as a reader would return it.
        truth: The belief of someone who knows.
        labels: Anatomy, uint8 `[z, y, x]` of the study's grid; numbers of `cascade.simulation.LABELS`.
        facts: What exam.json holds: exam labels, contrast, scanner, seed, config digest, anatomy.
    """

    study: Study
    truth: Findings
    labels: NDArray[np.uint8]
    facts: Mapping[str, Any]


def simulate(config: Simulation, seed: int, anatomy: Anatomy | None = None) -> Simulated:
    """Simulate one CT pulmonary angiogram.

    Args:
        config: What may vary, and how far.
        seed: Everything random follows from it, the config and the anatomy.
        anatomy: Whose arteries, veins and lungs; None builds one from the seed.

    Raises:
        SimulationError: No chest can be completed around the anatomy.
        UsageError: The config is no `Simulation`, or the seed no whole number from 0 on.
    """
    if not isinstance(config, Simulation) or not isinstance(seed, int | np.integer) or seed < 0:
        text = f"a study is simulated from a Simulation and a whole number from 0 on, got {config!r} and {seed!r}"
        raise UsageError(text)
    body = _painted(config, seed, anatomy)
    scan, bolus, clots, rng = body.scan, body.bolus, body.clots, body.rng
    hu, labels, instance = _scan(body, config)
    grid = Grid.simple(hu.shape, (scan.slice_mm, scan.pixel_mm, scan.pixel_mm), _origin(scan, rng["scanner"]))
    facts = _facts(config, seed, body.anatomy, bolus, scan, clots)
    study = Study(hu, grid, facts={**facts["scanner"], "contrast_agent": "simulated"})
    places, old = {c.number: c.place for c in clots}, {c.number for c in clots if c.kind in emboli.CHRONIC}
    truth, lesions = findings(grid, labels, instance, places, bolus.artery, scan.noise_hu, old, body.rv_lv)
    exam = dict(truth.exam.labels) if truth.exam and truth.exam.labels else {}
    facts = {**facts, "labels": exam, "rv_lv_ratio": round(body.rv_lv, 3), "lesions": lesions}
    return Simulated(study, truth, labels, facts)


def outline(
    config: Simulation, seed: int, anatomy: Anatomy | None = None
) -> tuple[NDArray[np.uint8], tuple[float, float, float]]:
    """The emboli of a study, without the picture of it.

    Args:
        config: As for `simulate`.
        seed: As for `simulate`; the numbers are those of the study's own truth, voxel by voxel.
        anatomy: As for `simulate`.

    Returns:
        Clot numbers `[z, y, x]`, 0 where there is none, and the spacing of their voxels in mm.

    Raises:
        SimulationError: No chest can be completed around the anatomy.
    """
    body = _painted(config, seed, anatomy)
    sampler = scanner.Sampler(body.scan, body.canvas.shape, body.canvas.mm)
    numbers = np.zeros((len(body.scan.z), body.scan.matrix, body.scan.matrix), np.uint8)
    for i in body.slices_with_clots(sampler):
        numbers[i] = _clots(body, sampler, i, _anatomy(body.canvas, sampler, i))
    return numbers, (body.scan.slice_mm, body.scan.pixel_mm, body.scan.pixel_mm)


@dataclasses.dataclass(frozen=True, eq=False)
class _Body:
    """A patient before the scan: a painted chest, the clots in its arteries, and how it will be scanned.

    `fraction` and `numbers`, uint8 of the canvas's `box`: how much of a voxel is clot, of 255, and of which.
    """

    anatomy: Anatomy
    canvas: Canvas
    bolus: contrast.Bolus
    rv_lv: float
    scan: scanner.Scan
    box: Any
    fraction: NDArray[np.uint8]
    numbers: NDArray[np.uint8]
    clots: list[emboli.Clot]
    rng: dict[str, np.random.Generator]

    def slices_with_clots(self, sampler: scanner.Sampler) -> list[int]:
        """Numbers of the slices whose profile reaches a clot."""
        if not self.fraction.any():
            return []
        first, last = np.flatnonzero(self.fraction.any((1, 2)))[[0, -1]] + self.box[0].start
        taps = (sampler.taps(i) for i in range(len(self.scan.z)))
        return [i for i, some in enumerate(taps) if some[0][0] <= last and some[-1][0] >= first]


def _painted(config: Simulation, seed: int, anatomy: Anatomy | None) -> _Body:
    streams = np.random.SeedSequence(seed).spawn(len(STREAMS))
    rng = {name: np.random.default_rng(s) for name, s in zip(STREAMS, streams, strict=True)}
    positive = bool(rng["emboli"].random() < config.positive) and config.emboli[1] > 0
    anatomy = build(rng["anatomy"]) if anatomy is None else anatomy
    pixel_mm, fov_mm = scanner.field_of_view(config, rng["scanner"])
    canvas = augment.lay(anatomy, config, fov_mm + 16, rng["shape"])
    marks = landmarks.find(canvas)
    bolus = contrast.draw(config, rng["bolus"])
    strain = float(rng["body"].uniform(0.95, 1.5 if positive else 1.25))
    rv_lv, paths, blood_box, blood = _fill(canvas, marks, config, bolus, strain, rng)
    if positive:
        fraction, numbers, clots = emboli.paint(canvas, blood_box, blood, paths, config, rng["emboli"])
    else:
        fraction, numbers, clots = np.zeros(blood.shape, np.uint8), np.zeros(blood.shape, np.uint8), []
    scan = scanner.plan(canvas, marks.lung_z, pixel_mm, config, rng["scanner"], scanner.look(config, rng["look"]))
    return _Body(anatomy, canvas, bolus, rv_lv, scan, blood_box, fraction, numbers, clots, rng)


def _fill(
    canvas: Canvas, marks: landmarks.Landmarks, config: Simulation, bolus: contrast.Bolus, strain: float,
    rng: dict[str, np.random.Generator],
) -> tuple[float, list[tree.Path], Any, Any]:  # fmt: skip
    """Complete the chest around its lungs and vessels, from the outside in."""
    body, extra = rng["body"], rng["mimics"]
    bone = wall.Bone(body)
    arms = body.random() < config.arms_down
    wall.paint(canvas, marks, config, bone, body)
    abdomen.paint(canvas, marks, bolus, body)
    bones.paint(canvas, marks, bone, bool(arms), body)
    mimics.soft_tissue(canvas, marks, config, extra)
    pump = heart.paint(canvas, marks, bolus, strain, body)
    mediastinum.oesophagus(canvas, marks, body)
    rise = mediastinum.ascending(canvas, marks, body)
    cava = mediastinum.caval(canvas, marks, pump, rise, bolus, body)
    mediastinum.aorta(canvas, marks, pump, rise, bolus, body)
    growth = tree.grow(canvas.artery, marks.trunk, canvas.mm)
    paths = growth.paths(220, rng["tree"])
    lungs.tissue(canvas, marks, config, body)
    mimics.lung_changes(canvas, marks, config, extra)
    if rng["devices"].random() < config.fibrosis * config.mimics:
        mimics.scars(canvas, marks, rng["devices"].spawn(1)[0])
    mediastinum.thyroid(canvas, marks, bolus, rng["devices"].spawn(1)[0])
    mimics.cuffs(canvas, marks, config, extra)
    mimics.recesses(canvas, marks, rise, config, rng["devices"].spawn(1)[0])
    mimics.nodes(canvas, marks, paths, config, extra)
    _, right, left = mediastinum.windpipe(canvas, marks, body)
    mucus = extra.random() < config.mucus * config.mimics
    airways.bronchi(canvas, marks, paths[::2], (right, left), bool(mucus), body)
    wall.table(canvas, config, rng["texture"].spawn(1)[0])
    lungs.fissures(canvas, marks, rng["texture"].spawn(1)[0])
    capillaries.paint(canvas, marks, bolus, rng["texture"].spawn(1)[0])
    box, blood = lungs.vessels(canvas, bolus, rng["bolus"])
    devices.paint(canvas, marks, pump, cava, paths, config, rng["devices"])
    return pump.rv_lv, paths, box, blood


def _scan(body: _Body, config: Simulation) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """HU int16, anatomy uint8 and clot numbers uint8, `[z, y, x]` of the scanner's grid."""
    canvas, scan, rng = body.canvas, body.scan, body.rng
    sampler = scanner.Sampler(scan, canvas.shape, canvas.mm)
    noise = Noise(scan, rng["noise"])
    grain = texture.Texture(canvas, texture.draw(*config.texture, rng["texture"]), rng["texture"])
    random = rng["scanner"]
    n = len(scan.z)
    hu = np.empty((n, scan.matrix, scan.matrix), np.int16)
    labels = np.empty(hu.shape, np.uint8)
    instance = np.zeros(hu.shape, np.uint8)
    motion = mimics.Motion(canvas, config, rng["mimics"])
    streak = random.uniform(0.3, 1.2) if random.random() < config.streaks * min(config.mimics, 1.0) else 0.0
    with_clots = set(body.slices_with_clots(sampler))
    for i in range(n):
        plane = sampler.mean(canvas.hu, i, -1000.0)
        plane = motion.blur(plane, i, scan)
        if streak:
            plane = plane + artefacts.streaks(plane, streak, random)
        plane = artefacts.stars(plane, rng["devices"])
        plane = noise.add(scanner.kernel(plane + sampler.mean(grain, i), scan))
        np.clip(np.rint(plane), -1024, 3071, out=plane)
        hu[i] = plane
        labels[i] = _anatomy(canvas, sampler, i)
        if i in with_clots:
            instance[i] = _clots(body, sampler, i, labels[i])
    return hu, labels, instance


def _anatomy(canvas: Canvas, sampler: scanner.Sampler, i: int) -> NDArray[np.uint8]:
    """Labels of a slice, uint8 `[y, x]`; vessels where they fill at least half of a voxel."""
    labels = sampler.nearest(canvas.labels, i)
    for occupancy, name in ((canvas.vein, "vein"), (canvas.artery, "artery")):
        labels[sampler.mean(occupancy, i) >= 127.5] = LABELS[name]
    return labels


def _clots(body: _Body, sampler: scanner.Sampler, i: int, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Number of the clot that fills at least half of each voxel of a slice, uint8 `[y, x]`; in arteries alone."""
    box = body.box
    total = np.zeros(body.canvas.shape[1:], np.float32)
    number = np.zeros(total.shape, np.uint8)
    for z, weight in sampler.taps(i):
        at = z - box[0].start
        if 0 <= at < len(body.fraction):
            total[box[1], box[2]] += np.float32(weight) * body.fraction[at]
            np.maximum(number[box[1], box[2]], body.numbers[at], out=number[box[1], box[2]])
    size = (sampler.scan.matrix,) * 2
    if not number.any():
        return np.zeros(size, np.uint8)
    grown = cv2.dilate(number, np.ones((3, 3), np.uint8))
    number = np.where(number > 0, number, grown)
    filled = cv2.warpAffine(total, sampler.map, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP) >= 127.5
    named = cv2.warpAffine(number, sampler.map, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return np.asarray(np.where(filled & (labels == LABELS["artery"]), named, 0), np.uint8)


def _origin(scan: scanner.Scan, rng: np.random.Generator) -> tuple[float, float, float]:
    half = (scan.matrix - 1) / 2 * scan.pixel_mm
    x, y = (-half + rng.uniform(-10, 10) for _ in range(2))
    return round(float(x), 2), round(float(y - 100), 2), round(float(rng.uniform(-400, 100)), 1)


def _facts(
    config: Simulation, seed: int, anatomy: Anatomy, bolus: contrast.Bolus, scan: scanner.Scan, clots: list[emboli.Clot]
) -> dict[str, Any]:
    return {
        "seed": seed,
        "config": config.digest(),
        "anatomy": anatomy.id,
        "contrast": {f.name: _plain(getattr(bolus, f.name)) for f in dataclasses.fields(bolus)},
        "scanner": {
            "manufacturer": "simulated",
            "kernel": scan.kernel,
            "kvp": 100 if bolus.artery > 350 else 120,
            "pixel_mm": scan.pixel_mm,
            "slice_mm": scan.slice_mm,
            "thickness_mm": round(scan.thickness_mm, 2),
            "noise_hu": round(scan.noise_hu, 1),
        },
        "emboli": [{k: _plain(v) for k, v in dataclasses.asdict(c).items()} for c in clots],
    }


def _plain(value: Any) -> Any:
    return round(float(value), 3) if isinstance(value, float | np.floating) else value
