"""The same person in another shape: scaled, bent, tilted, and laid on the canvas with soft edges."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from cascade.simulation.anatomy import ARTERY, LUNG, VEIN, Anatomy
from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.config import Simulation
from cascade.simulation.shapes import F32, U8

MARGIN_MM = (30.0, 60.0, 75.0)
"""Room around the lungs for head, wall and back (z, y, x), mm."""


def lay(anatomy: Anatomy, config: Simulation, width_mm: float, rng: np.random.Generator) -> Canvas:
    """A canvas with nothing but air, and the soft arteries, veins and lungs of a varied `anatomy`.

    Args:
        anatomy: Whose vessels and lungs.
        config: Scale, bend and rotation are drawn from its ranges.
        width_mm: Nothing further than half of this from the lungs' middle is painted, mm.
        rng: Source of every draw.
    """
    labels, spacing = _trim(anatomy.labels), np.array(anatomy.spacing_mm)
    one_hot = _channels(labels, spacing)
    common = rng.uniform(*config.scale)
    scale = np.clip(common * rng.uniform(0.95, 1.05, 3), config.scale[0], config.scale[1])
    size = np.array(labels.shape) * spacing * scale
    extent = size + 2 * np.array(MARGIN_MM)
    extent[1:] = np.minimum(extent[1:], np.maximum(width_mm, 0.0) + 8)
    mm = config.canvas_mm
    shape = tuple(int(n) for n in np.ceil(extent / mm))
    nz, ny, nx = shape
    angle = np.deg2rad(rng.uniform(-config.rotation_deg, config.rotation_deg))
    lean = np.tan(np.deg2rad(rng.uniform(-4, 4, 2)))  # the upper chest leans (y, x) against the lower
    amplitude = rng.uniform(*config.bend_mm)
    bend = _Bend(shape, mm, amplitude, rng)
    z_mm = (np.arange(nz) - (nz - 1) / 2) * mm
    stretch = amplitude * 1.5 * np.interp(np.linspace(0, 6, nz), np.arange(7), rng.normal(0, 0.5, 7))
    z_from = (z_mm / scale[0]) / spacing[0] + stretch / spacing[0] + (labels.shape[0] - 1) / 2
    z_from = np.maximum.accumulate(z_from)
    y_mm = (np.arange(ny, dtype=np.float32) - (ny - 1) / 2)[:, None] * mm
    x_mm = (np.arange(nx, dtype=np.float32) - (nx - 1) / 2)[None, :] * mm
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y_turned, x_turned = cos * y_mm + sin * x_mm, cos * x_mm - sin * y_mm
    out = np.zeros((*shape, 3), np.uint8)
    for z in range(nz):
        if not -1 < z_from[z] < labels.shape[0]:
            continue
        field = bend(z)
        y_map = (y_turned + field[0] + np.float32(lean[0] * z_mm[z])) / np.float32(scale[1] * spacing[1])
        x_map = (x_turned + field[1] + np.float32(lean[1] * z_mm[z])) / np.float32(scale[2] * spacing[2])
        plane = _slice(one_hot, z_from[z])
        cv2.remap(
            plane,
            x_map + np.float32((labels.shape[2] - 1) / 2),
            y_map + np.float32((labels.shape[1] - 1) / 2),
            cv2.INTER_LINEAR,
            dst=out[z],
            borderMode=cv2.BORDER_CONSTANT,
        )
    artery, vein, lung = (np.ascontiguousarray(out[..., i]) for i in range(3))
    for occupancy in (artery, vein, lung):
        steep(occupancy)
    hu = np.full(shape, -1000, np.float32)
    painted = np.zeros(shape, np.uint8)
    painted[lung >= 128] = LABELS["lung"]
    return Canvas(hu, painted, artery, vein, lung, mm)


def steep(occupancy: U8, gain: float = 1.5) -> None:
    """Make a soft edge steeper about one half, in place: round shapes without a wide grey rim."""
    lut = np.clip((np.arange(256) - 127.5) * gain + 127.5, 0, 255).astype(np.uint8)
    for plane in occupancy:
        plane[:] = lut[plane]


def _trim(labels: U8) -> U8:
    boxes = ndimage.find_objects((labels > 0).astype(np.uint8))
    return labels[boxes[0]]


def _channels(labels: U8, spacing: np.ndarray) -> U8:
    """Artery, vein and lung (with the vessels in it) as soft uint8 `[z, y, x, 3]`."""
    reach = max(3, round(5.0 / float(spacing[1])) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    out = np.empty((*labels.shape, 3), np.uint8)
    for z, plane in enumerate(labels):
        lung = (plane == LUNG).astype(np.uint8)
        closed = cv2.morphologyEx(lung, cv2.MORPH_CLOSE, disc)
        vessels = (plane == ARTERY) | (plane == VEIN)
        out[z, ..., 0] = (plane == ARTERY) * np.uint8(255)
        out[z, ..., 1] = (plane == VEIN) * np.uint8(255)
        out[z, ..., 2] = (lung | (closed & vessels)) * np.uint8(255)
    return out


def _slice(one_hot: U8, at: float) -> U8:
    """A softened slice at a fractional index: linear between slices, light smoothing on all axes."""
    last = len(one_hot) - 1
    low = int(np.floor(at))
    f = at - low
    taps = np.convolve([1 - f, f], [0.18, 0.64, 0.18])
    total = np.zeros(one_hot.shape[1:], np.float32)
    for tap, z in zip(taps, range(low - 1, low + 3), strict=True):
        if tap > 1e-3 and 0 <= z <= last:
            total += np.float32(tap) * one_hot[z]
    return np.asarray(cv2.GaussianBlur(total, (5, 5), 0.65) + 0.5).astype(np.uint8)


class _Bend:
    """In-plane displacement (y, x) in mm of each slice: smooth in all three axes."""

    def __init__(self, shape: tuple[int, ...], mm: float, amplitude: float, rng: np.random.Generator) -> None:
        self.knots = tuple(max(3, round(n * mm / 75.0) + 1) for n in shape)
        self.field = rng.normal(0, amplitude / 1.6, (self.knots[0], 2, *self.knots[1:])).astype(np.float32)
        self.shape = shape

    def __call__(self, z: int) -> list[F32]:
        """The displacement fields of slice `z`, mm."""
        at = z / max(self.shape[0] - 1, 1) * (self.knots[0] - 1)
        low = min(int(at), self.knots[0] - 2)
        f = np.float32(at - low)
        f = f * f * (3 - 2 * f)
        plane = (1 - f) * self.field[low] + f * self.field[low + 1]
        size = (self.shape[2], self.shape[1])
        return [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_CUBIC), np.float32) for p in plane]
