"""Contact sheets: simulated studies beside real ones at the same levels, in the same windows, at the same scale."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre, find_lungs
from cascade.core.files import write_bytes
from cascade.core.study import Study
from cascade.core.windows import WINDOWS

U8 = NDArray[np.uint8]

LEVELS = {"apex": 0.88, "arch": 0.70, "hilum": 0.56, "atrium": 0.42, "ventricles": 0.26, "dome": 0.10}
"""Height in the lungs, 0 at the lowest slice that shows lung and 1 at the highest."""

FIELD_MM = 360.0
BORDER, GAP = 18, 3


def tiles(study: Study, window: str, size: int, levels: Iterable[str]) -> list[U8]:
    """Square pictures uint8 `[size, size]` of a study's levels in a named window, 36 cm of the patient across."""
    lungs = find_lungs(study).mask
    rows = np.flatnonzero(lungs.any(axis=(1, 2)))
    low, high = (int(rows[0]), int(rows[-1])) if rows.size else (0, study.hu.shape[0] - 1)
    y, x = body_centre(study)
    _, dy, dx = study.grid.spacing
    step = FIELD_MM / size
    made = []
    for name in levels:
        z = round(low + LEVELS[name] * (high - low))
        plane = study.hu[z].astype(np.float32)
        blur = max(step / dx / 2.4 - 0.3, 0.0)
        if blur > 0.2:
            plane = cv2.GaussianBlur(plane, (0, 0), blur)
        half = (size - 1) / 2
        where = np.array([[step / dx, 0, x - half * step / dx], [0, step / dy, y - half * step / dy]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        small = cv2.warpAffine(plane, where, (size, size), flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=-1024)
        made.append(WINDOWS[window].to_bytes(small))
    return made


def sheet(rows: Iterable[tuple[str, list[U8]]], levels: Iterable[str]) -> U8:
    """Rows of named pictures below the names of their levels, uint8 `[y, x]`."""
    names = list(levels)
    made = []
    for name, pictures in rows:
        size = pictures[0].shape[0]
        side = np.zeros((size, BORDER), np.uint8)
        upright = np.zeros((BORDER, size), np.uint8)
        cv2.putText(upright, name[: size // 8], (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,), 1, cv2.LINE_AA)
        side[:] = cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE)
        gap = np.zeros((size, GAP), np.uint8)
        row = np.hstack([side, *(part for picture in pictures for part in (picture, gap))])
        made += [row, np.zeros((GAP, row.shape[1]), np.uint8)]
    head = np.zeros((BORDER, made[0].shape[1]), np.uint8)
    for i, name in enumerate(names):
        at = (BORDER + i * (size + GAP) + 4, 13)
        cv2.putText(head, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,), 1, cv2.LINE_AA)
    return np.vstack([head, *made])


def write(path: Path, picture: U8) -> None:
    """Write a PNG, whole or not at all."""
    done, coded = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))
    if not done:
        raise OSError(f"{path} could not be coded as PNG")
    write_bytes(path, coded.tobytes())
