"""Studies built in one line: a small chest of ellipsoids and tubes, with its truth; and Hypothesis strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cc3d
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from cascade.anatomy.lungs import find_lungs
from cascade.core.findings import Exam, Field, Findings, Lungs, Slices
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.core.truth import KNOWN

Clot = tuple[float, float, float, float]
"""Centre z, y, x and radius, mm from the chest's middle."""

RIGHT_CLOT: Clot = (0.0, 0.0, -45.0, 9.0)
LEFT_CLOT: Clot = (-20.0, 0.0, 50.0, 9.0)


def chest(
    clots: Sequence[Clot] = (RIGHT_CLOT,),
    *,
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0),
    height_mm: float = 240.0,
    contrast_hu: float = 350.0,
    noise_hu: float = 10.0,
    lungs: bool = True,
    seed: int = 0,
) -> tuple[Study, Findings]:
    """A chest of 2.6 l of lung, an artery across it, and clots in the artery; and the truth.

    Args:
        clots: Balls inside the artery, which runs from lung to lung through the middle.
        spacing: Of the voxels, mm z-y-x.
        height_mm: How much of the patient is shown, around the lungs' middle (the lungs are 210 mm high).
        contrast_hu: Of the artery.
        noise_hu: Standard deviation.
        lungs: False fills them with tissue.
        seed: Of the noise.
    """
    size = [round(mm / s) for mm, s in zip((height_mm, 264.0, 336.0), spacing, strict=True)]
    shape = (size[0], size[1], size[2])
    z, y, x = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij", sparse=True
    )
    hu = np.where((y / 105) ** 2 + (x / 150) ** 2 < 1, 40.0, -1000.0) + 0 * z
    sides = np.zeros(shape, np.uint8)
    for side, middle in ((1, -72.0), (2, 72.0)):
        sides[(z / 105) ** 2 + (y / 80) ** 2 + ((x - middle) / 52) ** 2 < 1] = side
    if lungs:
        hu[sides > 0] = -850.0
    else:
        sides[:] = 0
    artery = ((z**2 + y**2 < 14**2) & (np.abs(x) < 80)) | ((y**2 + x**2 < 14**2) & (np.abs(z) < 60))
    hu[artery] = contrast_hu
    embolus = np.zeros(shape, bool)
    for cz, cy, cx, radius in clots:
        embolus |= (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    hu[embolus] = 60.0
    hu += np.random.default_rng(seed).normal(0, noise_hu, shape)
    grid = Grid.simple(shape, spacing, (-(shape[2] - 1) / 2 * spacing[2], -(shape[1] - 1) / 2 * spacing[1], -100.0))
    study = Study(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid)
    return study, truth_of(study, sides, embolus, artery)


def truth_of(study: Study, sides: NDArray[np.uint8], embolus: NDArray[np.bool_], artery: NDArray[np.bool_]) -> Findings:
    """What someone who knows would say of a study whose lungs, emboli and arteries are given `[z, y, x]`."""
    grid = study.grid
    reference = find_lungs(study)
    around = Box.around(sides)
    region = None if around is None else around.grow((3, 5, 5), grid.shape)
    box = region or Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])
    inside = np.where(embolus, 255, 0).astype(np.uint8)[box.slices]
    on = embolus.any(axis=(1, 2)).astype(np.float32)
    lung = ((sides > 0).sum(axis=(1, 2)) * grid.spacing[1] * grid.spacing[2] >= 500).astype(np.float32)
    slices = Slices(lung, {KNOWN: on})
    return Findings(
        grid,
        lungs=Lungs(reference.boxes, region),
        slices=slices,
        embolus=Field(inside, box),
        labels=Field(cc3d.connected_components(inside > 0, connectivity=26).astype(np.uint8), box),
        arteries=Field(np.where(artery | embolus, 255, 0).astype(np.uint8)[box.slices], box),
        exam=Exam("positive" if embolus.any() else "negative", float(embolus.any())),
    )


def stored(study: Study, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Study:
    """The same patient from a file whose array has other axes and directions."""
    affine = study.grid.source_affine
    source = study.grid.to_source(study.hu)
    array = source.transpose(axes)[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    other = np.eye(4)
    other[:3, 3] = affine[:3, 3]
    for axis, (a, flip) in enumerate(zip(axes, flips, strict=True)):
        other[:3, axis] = -affine[:3, a] if flip else affine[:3, a]
        if flip:
            other[:3, 3] += affine[:3, a] * (source.shape[a] - 1)
    grid = Grid.from_source(array.shape, other)
    return Study(np.ascontiguousarray(grid.to_grid(array)), grid, study.facts)


def cropped(study: Study, box: Box) -> Study:
    """A part of a study, where it was."""
    affine = np.array(study.grid.affine)
    affine[:3, 3] = study.grid.to_mm(np.array([box.z0, box.y0, box.x0]))
    return Study(np.ascontiguousarray(study.hu[box.slices]), Grid(box.shape, affine))


def moved(findings: Findings, box: Box, grid: Grid) -> Findings:
    """Findings as they are on a part of the grid: what `cropped` does to a study, done to a belief."""
    by = (box.z0, box.y0, box.x0)

    def shift(one: Box) -> Box:
        inner = (max(one.z0, box.z0), min(one.z1, box.z1), max(one.y0, box.y0), min(one.y1, box.y1))
        z0, z1, y0, y1 = inner
        x0, x1 = max(one.x0, box.x0), min(one.x1, box.x1)
        return Box(z0 - by[0], z1 - by[0], y0 - by[1], y1 - by[1], x0 - by[2], x1 - by[2])

    def part(field: Field | None) -> Field | None:
        if field is None:
            return None
        to = shift(field.box)
        return Field(field.full(findings.grid.shape)[box.slices][to.slices], to)

    lungs, slices = findings.lungs, findings.slices
    if lungs is not None:
        offset = np.array([box.x0, box.y0, box.x0, box.y0], np.float32)
        region = None if lungs.region is None else shift(lungs.region)
        lungs = Lungs(lungs.boxes[box.z0 : box.z1] - offset, region)
    if slices is not None:
        pe = {name: scores[box.z0 : box.z1] for name, scores in slices.pe.items()}
        slices = Slices(slices.lung[box.z0 : box.z1], pe)
    return replace(
        findings,
        grid=grid,
        lungs=lungs,
        slices=slices,
        embolus=part(findings.embolus),
        labels=part(findings.labels),
        arteries=part(findings.arteries),
        std=part(findings.std),
    )


orders = st.tuples(
    st.permutations((0, 1, 2)).map(lambda p: (p[0], p[1], p[2])), st.tuples(st.booleans(), st.booleans(), st.booleans())
)
"""How a file may store a volume: the order of its axes, and which of them run backwards."""
