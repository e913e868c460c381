"""Masks to what is known of a study: on its grid or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import find_lungs
from cascade.core.errors import InputError
from cascade.core.findings import Exam, Field, Findings, Lungs
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.reading.labels import read_labels

LUNG_MARGIN_MM = 10.0

SAME_PLACE_MM = 0.5
"""Corners of a mask's grid and its study's may lie so far apart: headers are rounded, voxels are larger."""

Numbers = NDArray[np.unsignedinteger[Any]]


def mask_on(study: Study, path: Path) -> Numbers:
    """The labels of a file on a study's grid `[z, y, x]`.

    Raises:
        InputError: E_MASK_MISSING, E_MASK_GRID, or what `read_labels` raises.
    """
    if not path.is_file():
        text = f"the mask {path.name} is missing"
        raise InputError("E_MASK_MISSING", f"{text}; put it there, or take the case out of the data set")
    labels, grid = read_labels(path)
    refuse_other_grid(study.grid, grid, path.name)
    return labels


def refuse_other_grid(image: Grid, mask: Grid, name: str) -> None:
    """Refuse a mask that does not lie on its image's voxels.

    Raises:
        InputError: E_MASK_GRID; the sentence says in what they differ.
    """
    if mask.shape != image.shape:
        difference = f"it has {_sizes(mask)} voxels where its study has {_sizes(image)}"
    else:
        corners = np.array([(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * (np.array(image.shape) - 1)
        apart = float(np.linalg.norm(image.to_mm(corners) - mask.to_mm(corners), axis=1).max())
        if apart <= SAME_PLACE_MM:
            return
        difference = f"its corners lie up to {apart:.1f} mm from those of its study"
    text = f"the mask {name} lies on another grid than its study: {difference}"
    raise InputError("E_MASK_GRID", f"{text}; write the mask with the header of the image that it was drawn on")


def known_by_mask(study: Study, numbers: Numbers, arteries: NDArray[np.bool_] | None = None) -> Findings:
    """What a reader's mask of a whole study says; one that is empty says that there is no embolism.

    Args:
        study: The evidence.
        numbers: `[z, y, x]`, 0 where there is no embolus; numbers above 1 are instances, one a clot.
        arteries: Where the pulmonary arteries are, if that is known.
    """
    instances = Field(numbers, whole_box(study.grid)) if numbers.max(initial=0) > 1 else None
    return replace(
        lungs_alone(study),
        embolus=as_field(numbers > 0, study.grid),
        labels=instances,
        arteries=None if arteries is None else as_field(arteries, study.grid),
        exam=Exam("positive" if numbers.any() else "negative"),
    )


def as_field(mask: NDArray[np.bool_], grid: Grid) -> Field:
    """A mask `[z, y, x]` of a whole study as certainty: 255 where it is."""
    return Field(np.where(mask, 255, 0).astype(np.uint8), whole_box(grid))


def no_embolus(grid: Grid) -> Field:
    """An empty mask of a whole study."""
    return Field(np.zeros(grid.shape, dtype=np.uint8), whole_box(grid))


def whole_box(grid: Grid) -> Box:
    """All voxels of a grid."""
    z, y, x = grid.shape
    return Box(0, z, 0, y, 0, x)


def lungs_alone(study: Study) -> Findings:
    """What is known of a study without any label: its lungs by threshold and components, with a margin."""
    reference = find_lungs(study)
    box = Box.around(reference.mask)
    dz, dy, dx = (round(LUNG_MARGIN_MM / s) for s in study.grid.spacing)
    lungs = Lungs(reference.boxes, box.grow((dz, dy, dx), study.grid.shape) if box else None)
    return Findings(study.grid, lungs=lungs, reference=reference)


def _sizes(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.shape)
