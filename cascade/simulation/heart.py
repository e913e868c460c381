"""The heart: four chambers inside the silhouette that the lungs leave, with walls, trabeculae and papillary muscles."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from cascade.anatomy.morphology import component_at
from cascade.simulation import contrast, shapes
from cascade.simulation.canvas import LABELS, Canvas, upsample
from cascade.simulation.contrast import Bolus
from cascade.simulation.landmarks import BINS, Landmarks, coarse
from cascade.simulation.shapes import F32, Points

SEPTUM_MM, SLACK_MM = 3.0, 11.0


@dataclasses.dataclass(frozen=True)
class Heart:
    """What others attach to, in canvas voxels (z, y, x), and the measures of the chambers.

    Attributes:
        right_atrium: Its middle.
        root: Where the aorta leaves.
        apex: Tip of the left ventricle.
        rv_lv: Ratio of the ventricles' radii as painted.
    """

    right_atrium: Points
    root: Points
    apex: Points
    rv_lv: float


def paint(canvas: Canvas, marks: Landmarks, bolus: Bolus, strain: float, rng: np.random.Generator) -> Heart:
    """Paint the heart. `strain` widens the right ventricle and narrows the left (1 is normal)."""
    mm, step = canvas.mm, marks.step
    depth = _depth(canvas, marks, rng)  # mm on the coarse grid, positive inside the pericardium
    la = marks.atrium
    unit = step * mm
    here = np.stack(np.meshgrid(*(np.arange(n) * step + (step - 1) / 2 for n in depth.shape), indexing="ij"), -1)
    here = here.astype(np.float32)
    toward = shapes.unit(np.array([-0.45, -0.6, 0.66]) + rng.normal(0, 0.06, 3))
    base = 0.5 * (la + marks.trunk)
    reach = ((here - base) @ toward) * mm
    reach = np.where((depth > 4) & (reach < 118), reach, -np.inf)
    tip = here[np.unravel_index(int(reach.argmax()), reach.shape)].astype(float)
    tip = tip - toward * 3 / mm
    span = float(np.linalg.norm(tip - la)) * mm
    size = np.clip(span / 100.0, 0.65, 1.25)
    mitral = la + 0.34 * (tip - la) + np.array([-4, -6, 0]) / mm * size
    lv_r = 23.0 * size / strain**0.5 * rng.uniform(0.9, 1.1)
    rv_r = 22.0 * size * strain * rng.uniform(0.92, 1.08)
    wall_lv = rng.uniform(7.5, 11.5)
    ra = _right_atrium(depth, here, la, mm, size)
    inflow = 0.45 * ra + 0.55 * (0.6 * marks.trunk + 0.4 * tip) + np.array([-14, 0, -6]) / mm * size
    shift = np.array([-8, -14, -20]) / mm * size
    outflow, body = 0.55 * marks.trunk + 0.45 * inflow, 0.55 * inflow + 0.45 * tip + shift * 0.8
    rv_path = np.array([marks.trunk, outflow, inflow, body, tip + shift * 0.7])
    fields = {
        "lv": _capsule(here, np.array([mitral, 0.5 * (mitral + tip), tip - toward * 10 / mm]),
                       np.array([lv_r + wall_lv, lv_r + wall_lv, 0.6 * lv_r + wall_lv]) / mm) * mm,
        "rv": _capsule(here, rv_path, np.array([13, 16, rv_r, rv_r * 0.9, rv_r * 0.45]) / mm) * mm,
        "ra": (np.linalg.norm((here - ra) / np.array([1.15, 1.0, 1.0]), axis=-1) * mm - 24 * size),
        "la": _atrium(canvas, marks) * unit,
    }  # fmt: skip
    names = list(fields)
    stack = np.stack([fields[n] for n in names]).astype(np.float32)
    chamber: dict[str, F32] = {}
    thickness = {"lv": wall_lv, "rv": rng.uniform(2.5, 4.5), "ra": 2.0, "la": 2.0}
    for i, name in enumerate(names):
        others = np.min(np.delete(stack, i, axis=0), axis=0)
        gap = (others - stack[i]) / 2
        own = np.maximum(stack[i] - SLACK_MM * (name in ("rv", "ra")), -gap)  # signed mm, negative inside
        chamber[name] = np.maximum(own, -depth).astype(np.float32)
    box, fine = _fine(canvas, depth, step)
    hu = canvas.hu[box]
    inside = shapes.soft(-fine(depth) / mm, 1.6)
    groove = np.float32(rng.uniform(-105, -70))
    hu += inside * (groove - hu)
    canvas.labels[box][inside >= 0.5] = LABELS["heart"]
    rough = shapes.noise(hu.shape, 4.5 / mm, rng)
    fibres = shapes.noise(hu.shape, (9 / mm, 4 / mm, 4 / mm), rng)
    swirl = contrast.uneven((hu.shape[0], hu.shape[1], hu.shape[2]), mm, 1.0, rng) - 1
    blood = {"lv": bolus.left_heart, "rv": bolus.right_heart, "ra": bolus.right_atrium, "la": bolus.vein}
    ridged = float(rng.spawn(1)[0].uniform(0.25, 1.0))
    stir = {"lv": 0.05, "rv": rng.uniform(0.06, 0.28), "ra": rng.uniform(0.08, 0.45), "la": 0.04}
    for name in ("la", "ra", "rv", "lv"):
        distance = fine(chamber[name])
        wall = shapes.soft(distance / mm, 1.6)
        hu += wall * (bolus.muscle + 4 * rough - hu)
        lumen = distance + thickness[name]
        if name in ("rv", "lv"):
            lumen = lumen + ridged * _trabeculae(lumen, fibres, rough, name)
        cavity = shapes.soft(lumen / mm, 1.8)
        level = bolus.plain + (blood[name] - bolus.plain) * (1 + stir[name] * swirl)
        hu += cavity * (level - hu)
    _papillary(canvas, mitral, tip, lv_r, bolus, rng)
    root = 0.5 * (la + marks.trunk) + np.array([-2, -6, -14]) / mm * size
    return Heart(ra, root, tip, float(rv_r / lv_r))


def _depth(canvas: Canvas, marks: Landmarks, rng: np.random.Generator) -> F32:
    """How deep each coarse voxel lies inside the pericardium, mm; negative outside."""
    mm, step = canvas.mm, marks.step
    unit = step * mm
    nz, ny, nx = marks.lung.shape
    from_lung = ndimage.distance_transform_edt(~marks.lung).astype(np.float32) * unit
    centre = slice(step // 2, None, step)
    z = np.arange(nz, dtype=np.float32)[:, None, None] * step
    y = np.arange(ny, dtype=np.float32)[None, :, None] * step
    direction = marks.direction[centre, centre][:ny, :nx]
    radius = marks.radius[centre, centre][:ny, :nx]
    rows = np.minimum(np.arange(nz) * step + step // 2, canvas.shape[0] - 1)
    hull = np.stack([marks.hull[i][direction] - radius for i in rows]) * mm
    spine = (marks.spine[rows, 0] - marks.spine_radius[rows])[:, None, None]
    fat = rng.uniform(2.0, 5.5)
    depth = np.minimum(from_lung - fat, hull - rng.uniform(5, 9))
    depth = np.minimum(depth, (z - marks.diaphragm[None]) * mm - rng.uniform(2, 5))
    depth = np.minimum(depth, (spine - y) * mm - rng.uniform(14, 22))
    top = marks.trunk[0] + 14 / mm
    middle = marks.atrium
    depth = np.minimum(depth, (top - z) * mm)
    # A ball around the middle: the heart does not reach into the angles between lung and wall.
    dz = (z - (middle[0] - 28 / mm)) / 1.1
    dy = y - (middle[1] - 42 / mm)
    dx = np.arange(nx, dtype=np.float32)[None, None, :] * step - (middle[2] + 14 / mm)
    ball = 82.0 - np.sqrt(dz**2 + (dy * 1.1) ** 2 + dx**2) * mm
    depth = np.minimum(depth, ball)
    return np.asarray(ndimage.gaussian_filter(np.maximum(depth, -25), 4.0 / unit), np.float32)


def _right_atrium(depth: F32, here: F32, la: Points, mm: float, size: float) -> Points:
    """A little inside the right border of the heart, level with and below the left atrium."""
    level = np.abs(here[..., 0] - (la[0] - 16 / mm)) < 8 / mm
    front = np.abs(here[..., 1] - (la[1] - 24 / mm * size)) < 14 / mm
    hit = (depth > 3) & level & front
    right = float(np.percentile(here[hit][:, 2], 3)) if hit.sum() > 10 else la[2] - 60 / mm
    right = float(np.clip(right, la[2] - 85 / mm, la[2] - 34 / mm))
    return np.array([la[0] - 16 / mm, la[1] - 24 / mm * size, right + 22 / mm * size])


def _atrium(canvas: Canvas, marks: Landmarks) -> F32:
    """Signed distance to the central veins in coarse voxels."""
    vein = coarse(canvas.vein, marks.step) & ~marks.lung
    at = np.clip((marks.atrium / marks.step).astype(int), 0, np.array(vein.shape) - 1)
    joined = component_at(vein, at)
    vein = joined if joined.any() else vein
    outside = ndimage.distance_transform_edt(~vein)
    inside = ndimage.distance_transform_edt(vein)
    return np.asarray(outside - inside, np.float32)


def _capsule(here: F32, points: Points, radii: Points) -> F32:
    """Signed distance to a chain of round cones, at every coarse voxel."""
    out = np.full(here.shape[:-1], 1e3, np.float32)
    for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        axis = (b - a).astype(np.float32)
        length2 = max(float(axis @ axis), 1e-6)
        offset = here - a.astype(np.float32)
        t = np.clip(offset @ axis / length2, 0, 1)
        distance = np.linalg.norm(offset - t[..., None] * axis, axis=-1) - (ra + t * (rb - ra))
        np.minimum(out, distance, out=out)
    return out


class _Fine:
    """Brings coarse fields to canvas voxels inside one box."""

    def __init__(self, low: np.ndarray, high: np.ndarray, step: int) -> None:
        self.cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        self.shape = tuple(int((b - a) * step) for a, b in zip(low, high, strict=True))

    def __call__(self, field: F32) -> F32:
        z, y, x = self.shape
        return upsample(np.ascontiguousarray(field[self.cut]), (z, y, x))


def _fine(canvas: Canvas, depth: F32, step: int) -> tuple[shapes.Box, _Fine]:
    hit = np.argwhere(depth > -8)
    low, high = hit.min(0), hit.max(0) + 1
    box = tuple(slice(int(a) * step, int(b) * step) for a, b in zip(low, high, strict=True))
    return (box[0], box[1], box[2]), _Fine(low, high, step)


def _trabeculae(lumen: F32, fibres: F32, rough: F32, name: str) -> F32:
    """Muscle ridges near the inner wall, as something to add to the lumen's signed distance, mm."""
    near = np.exp(-((lumen / (7.0 if name == "rv" else 5.0)) ** 2))
    ridges = np.clip(fibres * 2.2 + 0.9 * rough - 0.2, 0, 2.2)
    return np.asarray(near * ridges * np.float32(4.0 if name == "rv" else 2.6), np.float32)


def _papillary(
    canvas: Canvas, mitral: Points, tip: Points, radius: float, bolus: Bolus, rng: np.random.Generator
) -> None:
    axis = shapes.unit(tip - mitral)
    side = shapes.unit(np.cross(axis, np.array([0.3, 1.0, 0.2])))
    other = np.cross(axis, side)
    for angle in (0.7, 3.6):
        angle += rng.normal(0, 0.3)
        out = (np.cos(angle) * side + np.sin(angle) * other) * radius / canvas.mm
        start = mitral + 0.45 * (tip - mitral) + 0.5 * out
        end = mitral + 0.8 * (tip - mitral) + 0.55 * out
        size = rng.uniform(3.0, 5.0)
        canvas.paint_tube(np.array([start, end]), np.array([size * 0.8, size]), bolus.muscle)


__all__ = ["BINS", "Heart", "paint"]
