"""The chest wall, slice by slice in polar coordinates: skin, fat, muscles, ribs, shoulder blades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.landmarks import BINS, Landmarks
from cascade.simulation.shapes import F32
from cascade.simulation.texture import SmoothNoise


class Bone:
    """How bright bone is in one person: rim and marrow, HU."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rim = rng.uniform(480, 950)
        self.marrow = rng.uniform(40, 260)
        self.shell_mm = rng.uniform(0.9, 1.8)


def paint(canvas: Canvas, marks: Landmarks, config: Simulation, bone: Bone, rng: np.random.Generator) -> None:
    """Paint everything outside the lungs' hull, and fat inside it for the rest to lie in."""
    mm = canvas.mm
    nz = canvas.shape[0]
    theta = np.arange(BINS) / BINS * 2 * np.pi
    back = np.clip(np.sin(theta), 0, 1)  # 1 straight back
    front = np.clip(-np.sin(theta), 0, 1)
    side = np.abs(np.cos(theta))
    z_top = marks.lung_z[1]
    up = np.clip((np.arange(nz) - (z_top - 150 / mm)) / (110 / mm), 0, 1)[:, None]  # towards the shoulders

    def wavy(size_z: float, size_t: int) -> F32:
        return shapes.noise((nz, BINS), (size_z / mm, size_t), rng) * _taper(theta)

    build = rng.uniform(0.7, 1.35)
    muscle = build * (
        9 + 25 * back**3 + (5 + 9 * up) * side**1.5 + up * 8 * front * np.clip((side - 0.1) / 0.25, 0, 1) + 4 * front
    ) + 1.8 * wavy(40, 90)
    fat_mm = rng.uniform(*config.fat_mm)
    breast = rng.uniform(0, 40) if rng.random() < 0.45 else 0.0
    level = np.exp(-(((np.arange(nz) - (z_top - 165 / mm)) / (45 / mm)) ** 2))[:, None]
    bump = np.exp(-((np.abs((theta - 0.5 * np.pi) % (2 * np.pi) - np.pi) - 0.62) ** 2) / 0.07)
    fat = fat_mm * (0.55 + 0.55 * side**2 + 0.25 * front + 0.3 * back * (1 - side)) * (1 + 0.12 * wavy(60, 120))
    fat = np.maximum(fat, 2.0) + breast * level * bump
    hull = marks.hull
    inner = np.maximum(muscle, 9.0) / mm
    shoulder = rng.uniform(20, 75) * up * side**2 / mm
    muscle_edge = np.maximum(marks.wide + inner * 0.8, hull + inner) + shoulder
    skin_edge = (muscle_edge + fat / mm).astype(np.float32)
    muscle_edge = muscle_edge.astype(np.float32)
    plane = (hull + (10.5 + 2.0 * wavy(30, 60)) / mm).astype(np.float32)
    # Muscles are what lies between the zero surfaces of smooth noise; fat fills the surfaces.
    sheets = shapes.noise(canvas.shape, (70 / mm, 28 / mm, 40 / mm), rng)
    lean = rng.uniform(0.07, 0.24) * np.clip(0.55 + 1.1 * shapes.noise(canvas.shape, 45 / mm, rng), 0.05, 2.0)
    marbling = 12 * shapes.noise((64, *canvas.shape[1:]), (4, 2.5 / mm, 7 / mm), rng)
    fat_hu, muscle_hu = rng.uniform(-116, -94), rng.uniform(42, 66)
    texture = 3.5 * shapes.noise((64, *canvas.shape[1:]), (3, 4 / mm, 4 / mm), rng)
    ribs = _Ribs(marks, mm, bone, rng)
    blades = _Blades(marks, mm, bone, rng)
    plane_mm = rng.uniform(0.7, 2.2)
    own = rng.spawn(1)[0]
    islands = SmoothNoise(canvas.shape, (60 / mm, 24 / mm, 24 / mm), own)
    fatty = own.uniform(-0.9, 0.5)
    for z in range(nz):
        r, t = marks.radius, marks.direction
        out = canvas.hu[z]
        body = shapes.soft(r - skin_edge[z][t])
        inside = body > 0
        d = r - hull[z][t]
        meat = shapes.soft(r - muscle_edge[z][t], 1.8)
        meat = meat * (1 - 0.75 * np.exp(-(((r - plane[z][t]) * mm / plane_mm) ** 2)))
        squared = np.square(sheets[z] / lean[z])
        meat = meat * (1 - 0.85 * np.exp(-squared * squared) * np.clip((d * mm - 11) / 8, 0, 1))
        # Away from the ribs muscles are apart, and the armpit is fat.
        far = np.clip((d * mm - 14) / 16, 0, 1)
        meat = meat * np.clip((islands(z) - (far * (fatty + 2.2) - 2.2)) / 0.25, 0, 1)
        cavity = shapes.soft(d - 1.0)
        tissue = (
            fat_hu
            + (meat * (1 - cavity)) * (muscle_hu - fat_hu)
            + texture[z % 64]
            - np.maximum(marbling[z % 64], 0) * meat
        )
        skin = np.exp(-((((r - skin_edge[z][t]) * mm + 1.2) / 1.0) ** 2))
        tissue += skin * (40 - tissue) * 0.8
        out += body * (tissue - out)
        canvas.labels[z][inside & (canvas.labels[z] == 0)] = LABELS["body"]
        ribs.paint(canvas, z, d)
        blades.paint(canvas, z, d, skin_edge[z][t] - r)


def table(canvas: Canvas, config: Simulation, rng: np.random.Generator) -> None:
    """The table behind the back: a curved shell with foam in it, and a sheet; HU alone change."""
    if rng.random() >= config.table:
        return
    mm = canvas.mm
    body = canvas.labels > 0
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    if not rows.size:
        return
    x = (np.arange(canvas.shape[2], dtype=np.float32) - (columns[0] + columns[-1]) / 2) * mm
    sag = np.square(x) / (2 * rng.uniform(350, 900))
    top = rows[-1] * mm + rng.uniform(-3, 6) - sag
    thick, deep = rng.uniform(0.7, 1.6), rng.uniform(18, 60)
    half = rng.uniform(190, 230)
    y = np.arange(canvas.shape[1], dtype=np.float32)[:, None] * mm
    depth = y - top[None, :]
    wide = np.abs(x)[None, :] < half
    foam, shell, sheet = rng.uniform(-985, -900), rng.uniform(-500, 100), rng.uniform(-900, -600)
    fill = np.full(canvas.shape[1:], -1000, np.float32)
    fill += (depth > 0) * (depth < deep) * wide * (foam + 1000)
    for at, hu in ((0.0, shell), (deep + 0.5 * sag[None, :], shell), (-rng.uniform(3, 14), sheet)):
        line = shapes.soft((np.abs(depth - at) - thick) / mm) * wide
        fill += line * (hu - fill)
    for z in range(canvas.shape[0]):
        part = canvas.hu[z]
        np.maximum(part, fill, out=part, where=~body[z])


def _taper(theta: NDArray[np.float64]) -> F32:
    """0 at the seam of the polar tables, where noise would tear, 1 elsewhere."""
    return np.clip(np.minimum(theta, 2 * np.pi - theta) / 0.15, 0, 1).astype(np.float32)


class _Ribs:
    """Slanting bands on the hull: thin rim, dark marrow, cartilage in front."""

    def __init__(self, marks: Landmarks, mm: float, bone: Bone, rng: np.random.Generator) -> None:
        self.mm, self.bone, self.marks = mm, bone, marks
        theta = np.arange(BINS) / BINS * 2 * np.pi
        # forward: 0 at the spine (straight back), 1 at the sternum.
        forward = np.abs(((theta - np.pi / 2 + np.pi) % (2 * np.pi)) - np.pi) / np.pi
        self.forward = forward.astype(np.float32)
        drop = rng.uniform(85, 135)
        self.drop = (drop * (0.12 * np.minimum(forward, 0.12) / 0.12 + forward**1.25) / mm).astype(np.float32)
        self.drop -= (np.clip(forward - 0.84, 0, 1) / 0.16 * rng.uniform(20, 45) / mm).astype(np.float32)
        self.pitch = rng.uniform(23, 31) / mm
        self.phase = rng.uniform(0, 1)
        self.half = rng.uniform(5.0, 7.2)
        self.thick = rng.uniform(3.7, 4.8)
        self.offset = rng.uniform(4.8, 6.5)
        self.right_left = np.where(np.cos(theta) > 0, rng.uniform(-3, 3), 0).astype(np.float32) / mm
        self.jitter = rng.normal(0, 1, (64, 4)).astype(np.float32)
        self.cartilage = rng.uniform(0.74, 0.8)
        self.cartilage_hu = rng.uniform(70, 160)

    def paint(self, canvas: Canvas, z: int, d: F32) -> None:
        """Paint the ribs of one slice; `d` is the distance outside the hull in voxels `[y, x]`."""
        mm, t = self.mm, self.marks.direction
        near = np.nonzero((d * mm > -3) & (d * mm < 15))
        tt = t[near]
        dd = d[near] * mm
        place = (z + self.drop[tt] + self.right_left[tt]) / self.pitch + self.phase
        number = np.floor(place).astype(np.intp)
        jitter = self.jitter[number % 64]
        dz = ((place - number) - 0.5 + 0.05 * jitter[:, 0]) * self.pitch * mm
        forward = self.forward[tt]
        half = self.half * (1 + 0.1 * jitter[:, 1])
        thick = self.thick * (1 + 0.08 * jitter[:, 2]) * np.where(forward > 0.7, 0.95, 1)
        offset = self.offset + 0.6 * jitter[:, 3]
        ratio = np.sqrt((dz / half) ** 2 + ((dd - offset) / thick) ** 2)
        distance = (ratio - 1) * thick
        within = distance < 2
        limit = forward < 0.93
        within &= limit
        where = tuple(n[within] for n in near)
        distance, forward = distance[within], forward[within]
        outer = np.clip(0.5 - distance / (1.4 * mm), 0, 1)
        inner = np.clip(0.5 - (distance + self.bone.shell_mm) / (1.4 * mm), 0, 1)
        gristle = np.clip((forward - self.cartilage) / 0.02, 0, 1)
        fill = self.bone.rim + inner * (self.bone.marrow - self.bone.rim)
        fill = fill + gristle * (self.cartilage_hu - fill)
        part = canvas.hu[z][where]
        canvas.hu[z][where] = part + outer * (fill - part)
        hit = outer >= 0.5
        canvas.labels[z][tuple(n[hit] for n in where)] = LABELS["bone"]


class _Blades:
    """Shoulder blades: two thin curved plates behind the ribs, thick at the rim and at the spine of the blade."""

    def __init__(self, marks: Landmarks, mm: float, bone: Bone, rng: np.random.Generator) -> None:
        self.mm, self.bone, self.marks = mm, bone, marks
        self.top = marks.lung_z[1] + rng.uniform(-25, 10) / mm
        self.height = rng.uniform(120, 160) / mm
        self.middle = rng.uniform(0.8, 1.1)
        self.spread = rng.uniform(0.30, 0.40)
        self.lift = rng.uniform(13, 19)
        self.turn = rng.uniform(2, 20)

    def paint(self, canvas: Canvas, z: int, d: F32, room: F32) -> None:
        """Paint both blades in one slice; `room` is the distance to the skin in voxels `[y, x]`."""
        down = (self.top - z) / self.height
        if not 0 <= down <= 1:
            return
        mm = self.mm
        from_back = self._from_back()[self.marks.direction]
        width = self.spread * (1 - 0.75 * down)
        s = (from_back - self.middle - 0.06 * down) / width  # -1 at the inner rim, 1 at the outer
        lift = self.lift + self.turn * np.clip(s, -1, 1) + (s > 0) * 6 * s**2
        rim = np.clip((np.abs(s) - 0.72) / 0.28, 0, 1)
        ridge = np.exp(-(((down - 0.25 - 0.12 * (1 - s)) / 0.06) ** 2))
        thick = 1.6 + 3.0 * rim + 4.0 * ridge * np.clip(1 + s, 0, 1.5)
        distance = np.maximum(np.abs(d * mm - lift - 3 * ridge) - thick, (np.abs(s) - 1) * 40 * self.spread)
        distance = np.maximum(distance, 5 - room * mm)
        near = np.nonzero(distance < 2)
        distance = distance[near]
        outer = np.clip(0.5 - distance / (1.4 * mm), 0, 1)
        inner = np.clip(0.5 - (distance + self.bone.shell_mm) / (1.4 * mm), 0, 1)
        fill = self.bone.rim + inner * (self.bone.marrow - self.bone.rim)
        part = canvas.hu[z][near]
        canvas.hu[z][near] = part + outer * (fill - part)
        canvas.labels[z][tuple(n[outer >= 0.5] for n in near)] = LABELS["bone"]

    def _from_back(self) -> F32:
        theta = np.arange(BINS) / BINS * 2 * np.pi
        return np.abs(((theta - np.pi / 2 + np.pi) % (2 * np.pi)) - np.pi).astype(np.float32)
