"""Boxes of lungs that somebody drew on single slices: studies of one slice, from which the lung detector learns.

A study of one slice with lungs carries the drawn boxes; whole chests are labelled by the threshold finder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import find_lungs
from cascade.core.errors import InputError
from cascade.core.findings import Findings, Lungs, Slices
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.datasets.case import Case
from cascade.datasets.pictures import ENDINGS, PictureOptions, picture_study
from cascade.reading import read

Which = Literal["right", "left", "lung", "lungs"]
"""What a box is around: a named lung, one of either side, or both."""


@dataclass(frozen=True)
class Drawn:
    """A box as fractions of the picture as it is stored: columns x0..x1, rows y0..y1."""

    which: Which
    x0: float
    y0: float
    x1: float
    y1: float


def slice_case(path: Path, patient: str, boxes: Sequence[Drawn], options: PictureOptions) -> Case:
    """A study of one DICOM slice or picture with the lungs that were drawn; without boxes it shows none.

    Raises:
        InputError: The slice cannot be read, or is no axial one.
    """
    picture = path.suffix.lower() in ENDINGS
    study = picture_study([path], options) if picture else read(path, minimum_slices=1)
    if study.grid.shape[0] != 1 or study.grid.order.axes[0] != 0:
        raise InputError("E_NOT_AXIAL", "the file is no single axial slice; boxes are drawn on these")
    lungs = lungs_of_boxes(study, boxes)
    slices = replace(Slices.unknown(1), lung=np.array([float(bool(boxes))], dtype=np.float32))
    return Case(path.stem, patient, "labelled", study, Findings(study.grid, lungs=lungs, slices=slices))


def lungs_of_boxes(study: Study, boxes: Iterable[Drawn]) -> Lungs:
    """The lungs of a study of one slice.

    Sides that are not named go by place: two boxes are right and left as they lie, one alone by the middle of the
    picture. A box around both lungs is parted between them: where the threshold finder sees both, there; else in its
    middle. Both halves keep its top and bottom.
    """
    out = np.full((1, 2, 4), np.nan, np.float32)
    for side, box in _sides(study, [(b.which, on_grid(study.grid, b)) for b in boxes]):
        before = out[0, side]
        joined = np.concatenate([np.fmin(before[:2], box[:2]), np.fmax(before[2:], box[2:])])
        out[0, side] = joined
    known = out[0][np.isfinite(out[0]).all(axis=1)]
    if not len(known):
        return Lungs(out, None)
    (x0, y0), (x1, y1) = np.floor(known[:, :2].min(axis=0)), np.ceil(known[:, 2:].max(axis=0))
    return Lungs(out, Box(0, 1, int(y0), int(y1), int(x0), int(x1)))


def on_grid(grid: Grid, drawn: Drawn) -> NDArray[np.float32]:
    """A box x0, y0, x1, y1 in voxels of the grid, cut to the picture."""
    _, rows, columns = grid.source_shape
    ends = {1: (drawn.y0 * rows, drawn.y1 * rows), 2: (drawn.x0 * columns, drawn.x1 * columns)}
    out: list[tuple[float, float]] = []
    for axis in (2, 1):
        low, high = ends[grid.order.axes[axis]]
        length = grid.shape[axis]
        low, high = (length - high, length - low) if grid.order.flips[axis] else (low, high)
        out.append((min(max(low, 0.0), length), min(max(high, 0.0), length)))
    (x0, x1), (y0, y1) = out
    return np.array([x0, y0, x1, y1], dtype=np.float32)


def sides(lungs: Lungs, grid: Grid) -> NDArray[np.uint8]:
    """The boxes filled, as the detector takes labels: uint8 `[z, y, x]`, 1 right lung, 2 left lung."""
    out = np.zeros(grid.shape, dtype=np.uint8)
    for z, side in np.argwhere(np.isfinite(lungs.boxes).all(axis=2)):
        x0, y0, x1, y1 = (round(float(v)) for v in lungs.boxes[z, side])
        out[z, y0:y1, x0:x1] = side + 1
    return out


def _sides(
    study: Study, boxes: Sequence[tuple[Which, NDArray[np.float32]]]
) -> Iterable[tuple[int, NDArray[np.float32]]]:
    unnamed = sorted((box for which, box in boxes if which == "lung"), key=lambda box: float(box[0] + box[2]))
    middle = study.grid.shape[2] / 2
    for place, box in enumerate(unnamed):
        by_middle = int(float(box[0] + box[2]) / 2 > middle)
        yield (place if len(unnamed) == 2 else by_middle), box
    for which, box in boxes:
        if which in ("right", "left"):
            yield (0 if which == "right" else 1), box
        elif which == "lungs":
            found = find_lungs(study).boxes[0]
            inner = (float(found[0, 2]), float(found[1, 0])) if np.isfinite(found).all() else (np.nan, np.nan)
            if not box[0] < inner[0] <= inner[1] < box[2]:
                inner = (float(box[0] + box[2]) / 2,) * 2
            yield 0, np.array([box[0], box[1], inner[0], box[3]], dtype=np.float32)
            yield 1, np.array([inner[1], box[1], box[2], box[3]], dtype=np.float32)
