"""Slices as pictures: the PE window, the lesions' outlines, the lung boxes.

Pictures are radiological, as our arrays are: the patient's right is on the left, the front is up.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.core.windows import PE, Window

LESION = (255, 80, 48)
LUNGS = ((90, 170, 255), (120, 220, 170))  # right, left
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)


def overlay(study: Study, findings: Findings, z: int, *, window: Window = PE, boxes: bool = True) -> NDArray[np.uint8]:
    """One slice with what was found on it.

    Args:
        study: The evidence.
        findings: Lesions are outlined from outside, so that every voxel of the clot stays visible.
        z: Slice index, feet to head.
        window: Grey scale.
        boxes: Draw the lungs' boxes too.

    Returns:
        uint8 RGB `[y, x, 3]`, of the slice's size.
    """
    picture: NDArray[np.uint8] = np.repeat(window.to_bytes(study.hu[z])[:, :, None], 3, axis=2)
    if boxes and findings.lungs is not None:
        for box, colour in zip(findings.lungs.boxes[z], LUNGS, strict=True):
            if not np.isnan(box).any():
                x0, y0, x1, y1 = (round(float(v)) for v in box)
                cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
    mask = lesions_on(findings, z)
    picture[(cv2.dilate(mask, _CROSS) > 0) & (mask == 0)] = LESION
    return picture


def lesions_on(findings: Findings, z: int) -> NDArray[np.uint8]:
    """Where lesions are on a slice `[y, x]`, 0 or 1: the numbered ones, else probability of a half and more."""
    mask = np.zeros(findings.grid.shape[1:], dtype=np.uint8)
    field = findings.labels or findings.embolus
    if field is not None and field.box.z0 <= z < field.box.z1:
        least = 1 if findings.labels is not None else 128
        plane = field.values[z - field.box.z0] >= least
        mask[field.box.slices[1:]] = plane
    return mask


def square(picture: NDArray[np.uint8], spacing: tuple[float, float, float], scale: float = 1.0) -> NDArray[np.uint8]:
    """The picture `[y, x, 3]` with square pixels, enlarged by `scale`."""
    _, row_mm, column_mm = spacing
    pixel_mm = min(row_mm, column_mm) / scale
    rows, columns = picture.shape[:2]
    size = (max(round(columns * column_mm / pixel_mm), 1), max(round(rows * row_mm / pixel_mm), 1))
    if size == (columns, rows):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def around(box: Box, grid_shape: tuple[int, int, int], spacing: tuple[float, float, float], mm: float) -> Box:
    """A square of `mm` in-plane around the middle of a box, kept inside the slice."""
    edges: list[int] = []
    for low, high, count, step in (
        (box.y0, box.y1, grid_shape[1], spacing[1]),
        (box.x0, box.x1, grid_shape[2], spacing[2]),
    ):
        size = min(max(round(mm / step), high - low), count)
        first = min(max((low + high - size) // 2, 0), count - size)
        edges += [first, first + size]
    return Box(box.z0, box.z1, *edges)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture RGB `[y, x, 3]` as PNG, without any text in it."""
    ok, packed = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not ok:
        raise ValueError("the picture could not be packed")
    return packed.tobytes()
