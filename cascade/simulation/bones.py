"""Spine, breastbone, collar bones and upper arms."""

from __future__ import annotations

import numpy as np

from cascade.simulation import shapes
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.landmarks import BINS, Landmarks
from cascade.simulation.shapes import F32
from cascade.simulation.wall import Bone


def paint(canvas: Canvas, marks: Landmarks, bone: Bone, arms_down: bool, rng: np.random.Generator) -> None:
    """Paint the bones of the middle, and the collar bones (and upper arms where they hang down)."""
    _spine(canvas, marks, bone, rng)
    _sternum(canvas, marks, bone, rng)
    _clavicles(canvas, marks, bone, rng)
    if arms_down:
        _arms(canvas, marks, bone, rng)


def _lay(canvas: Canvas, z: int, rows: slice, columns: slice, distance: F32, bone: Bone, marrow: F32 | float) -> None:
    """Bone with rim and marrow from a signed distance in mm `[y, x]`."""
    mm = canvas.mm
    outer = shapes.soft(distance / mm)
    inner = shapes.soft((distance + bone.shell_mm) / mm)
    fill = bone.rim + inner * (marrow - bone.rim)
    part = canvas.hu[z, rows, columns]
    part += outer * (fill - part)
    canvas.labels[z, rows, columns][outer >= 0.5] = LABELS["bone"]


def _spine(canvas: Canvas, marks: Landmarks, bone: Bone, rng: np.random.Generator) -> None:
    mm = canvas.mm
    nz, ny, nx = canvas.shape
    pitch = rng.uniform(22, 28)
    phase = rng.uniform(0, 1)
    cord, sac = rng.uniform(30, 45), rng.uniform(5, 25)
    texture = shapes.noise((nz, 64, 64), 1.8, rng) * rng.uniform(35, 95)
    spongy = rng.uniform(90, 260)
    shell = Bone(rng)
    shell.rim, shell.shell_mm = rng.uniform(280, 600), rng.uniform(0.6, 1.2)
    flat = rng.uniform(0.72, 0.9)
    own = rng.spawn(1)[0]
    dense, spike = np.float32(own.uniform(60, 260)), own.uniform(24, 36)
    for z in range(nz):
        yc, xc = marks.spine[z]
        radius = marks.spine_radius[z] * mm
        rows = slice(max(int(yc - 32 / mm), 0), min(int(yc + 68 / mm), ny))
        columns = slice(max(int(xc - 48 / mm), 0), min(int(xc + 48 / mm), nx))
        y = ((np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(yc)) * mm)[:, None]
        x = ((np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(xc)) * mm)[None, :]
        if not y.size or not x.size:
            continue
        level = (z * mm / pitch + phase) % 1.0
        waist = 1 - 0.10 * np.sin(np.pi * np.clip((level - 0.2) / 0.8, 0, 1))
        rx, ry = 1.1 * radius * waist, radius * flat * waist
        # Broader than deep, and cut flat or hollow towards the canal.
        body = (((np.abs(x) / rx) ** 2.4 + (np.abs(y) / ry) ** 2.4) ** (1 / 2.4) - 1) * ry
        body = np.maximum(body, y - 0.9 * ry + 0.0035 * np.square(x))
        canal_y = ry + 7.5
        canal = np.sqrt((x / 9.5) ** 2 + ((y - canal_y) / 7.8) ** 2) * 7.8 - 7.8
        grain = texture[z][np.arange(y.shape[0])[:, None] % 64, np.arange(x.shape[1])[None, :] % 64]
        marrow = np.asarray(spongy + grain, np.float32)
        if level < 0.19:  # the disc
            disc = shapes.soft((body - 0.5) / mm)
            part = canvas.hu[z, rows, columns]
            part += disc * (85 - part)
            canvas.labels[z, rows, columns][disc >= 0.5] = LABELS["bone"]
        else:
            _lay(canvas, z, rows, columns, body, shell, marrow)
        # Thick where it leaves the body and where both halves meet, thin between.
        turn = np.arctan2(y - canal_y, np.abs(x))
        arch = np.abs(canal - 2.6) - (2.3 + 1.2 * np.cos(3 * turn + 0.5))
        open_sides = level < 0.35 or level > 0.93
        arch = np.where((np.abs(x) > 5) & (y < canal_y + 2) & open_sides, 9.0, arch)
        tip = np.clip((y - canal_y - 12) / 26, 0, 1)
        spinous = np.maximum(
            np.abs(x) - 4.2 + 1.6 * tip - 2.2 * (tip > 0.85), np.abs(y - canal_y - spike / 2 - 5) - spike / 2
        )
        spinous = np.where(0.0 < level < 0.72, spinous, 9.0)
        wing_y = canal_y - 1 + 0.55 * np.abs(x)
        transverse = np.maximum(np.abs(y - wing_y) - 4.2, np.abs(x) - 31)
        transverse = np.where((0.55 < level < 0.95) & (np.abs(x) > 8), transverse, 9.0)
        posterior = np.minimum(np.minimum(arch, spinous), transverse).astype(np.float32)
        posterior = np.where(body < -2, 9.0, posterior).astype(np.float32)
        _lay(canvas, z, rows, columns, posterior, bone, marrow + dense)
        hole = shapes.soft(canal / mm)
        core = shapes.soft((np.sqrt((x / 5.5) ** 2 + ((y - canal_y) / 4.2) ** 2) * 4.2 - 4.2) / mm)
        part = canvas.hu[z, rows, columns]
        part += hole * (sac + core * (cord - sac) - part)


def _sternum(canvas: Canvas, marks: Landmarks, bone: Bone, rng: np.random.Generator) -> None:
    mm = canvas.mm
    nz, ny, nx = canvas.shape
    top = min(marks.lung_z[1] - rng.uniform(25, 60) / mm, nz - 1)
    length = rng.uniform(150, 190) / mm
    width, thick = rng.uniform(13, 19), rng.uniform(4.5, 6.5)
    front = BINS * 3 // 4
    smooth = marks.wide[:, front]
    texture = shapes.noise((ny, nx), 2.0, rng) * rng.uniform(25, 60)
    for z in range(max(int(top - length), 0), int(top)):
        down = (top - z) / length
        wide = (
            width * (1.9 - 3.0 * down if down < 0.28 else 1.06 + 0.25 * np.sin(down * 9)) * (1 if down < 0.85 else 0.7)
        )
        yc = marks.axis[0] - max(smooth[z] * (1 - 0.25 * max(0.25 - down, 0) / 0.25), marks.hull[z, front]) - 7 / mm
        xc = marks.axis[1] + (marks.spine[z, 1] - marks.axis[1]) * 0.4
        rows = slice(max(int(yc - 14 / mm), 0), min(int(yc + 14 / mm), ny))
        columns = slice(max(int(xc - 45 / mm), 0), min(int(xc + 45 / mm), nx))
        y = ((np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(yc)) * mm)[:, None]
        x = ((np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(xc)) * mm)[None, :]
        if not y.size or not x.size:
            continue
        y = y - 0.006 * x**2
        distance = (((np.abs(x) / wide) ** 3 + (np.abs(y) / thick) ** 3) ** (1 / 3) - 1) * np.float32(thick)
        _lay(
            canvas, z, rows, columns, np.asarray(distance, np.float32), bone, bone.marrow * 0.9 + texture[rows, columns]
        )


def _bar(canvas: Canvas, points: np.ndarray, radius_mm: float, bone: Bone) -> None:
    got = shapes.tube(canvas.shape, shapes.curve(points), radius_mm / canvas.mm)
    if got is None:
        return
    box, distance = got
    outer, inner = shapes.soft(distance), shapes.soft(distance + bone.shell_mm * 1.3 / canvas.mm)
    canvas.paint(outer, bone.rim + inner * (bone.marrow - bone.rim), box, "bone")


def _clavicles(canvas: Canvas, marks: Landmarks, bone: Bone, rng: np.random.Generator) -> None:
    mm = canvas.mm
    top = marks.lung_z[1] - rng.uniform(5, 25) / mm
    y0 = marks.axis[0] - marks.wide[min(int(top), canvas.shape[0] - 1), BINS * 3 // 4] * 0.8
    rise = rng.uniform(0, 45) / mm
    for side in (-1, 1):
        x0 = marks.axis[1]
        points = np.array([
            [top - 22 / mm, y0 - 4 / mm, x0 + side * 24 / mm],
            [top - 5 / mm + rise * 0.3, y0 - 8 / mm, x0 + side * 70 / mm],
            [top + rise * 0.7, y0 + 22 / mm, x0 + side * 120 / mm],
            [top + 8 / mm + rise, y0 + 40 / mm, x0 + side * 160 / mm],
        ])  # fmt: skip
        points += rng.normal(0, 3 / mm, points.shape)
        _bar(canvas, points, rng.uniform(5.5, 7.0), bone)


def _arms(canvas: Canvas, marks: Landmarks, bone: Bone, rng: np.random.Generator) -> None:
    mm = canvas.mm
    nz, _, nx = canvas.shape
    width = float(marks.wide[:, 0].max())
    fat_hu, muscle_hu = rng.uniform(-110, -90), rng.uniform(45, 62)
    for side in (-1, 1):
        x = marks.axis[1] + side * (width + rng.uniform(75, 95) / mm)
        y = marks.axis[0] + rng.uniform(10, 35) / mm
        z = np.array([nz + 10, nz * 0.66, nz * 0.33, -10.0])
        points = np.stack([z, np.full(4, y), x + side * np.array([-15, 0, 8, 10]) / mm], axis=1)
        if abs(x - nx / 2) > nx / 2 + 60 / mm:
            continue
        canvas.paint_tube(shapes.curve(points), 48.0, fat_hu, "body")
        canvas.paint_tube(shapes.curve(points), 40.0, muscle_hu, "body")
        _bar(canvas, points, rng.uniform(11, 13), bone)
