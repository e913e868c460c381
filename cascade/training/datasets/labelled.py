"""Real studies with a reader's mask: a folder with `ct/*.dcm` and `embolus.nii.gz`, or a folder of such folders.

The mask lies on the grid of the slices (NIfTI, RAS affine). One that is empty says that there is no embolism. Where
the arteries are is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cascade.errors import InputError
from cascade.findings import Exam, Field, Findings, Lungs
from cascade.geometry import Box, Grid
from cascade.reading import read
from cascade.reference import find_lungs
from cascade.study import Study
from cascade.training.case import Case

MARGIN_MM = 10.0


def fits(folder: Path) -> bool:
    """Whether the folder is such a study, or holds some."""
    return bool(_studies(folder))


def cases(folder: Path) -> Iterator[Case]:
    """In the order of their names."""
    for path in _studies(folder):
        study = read(path / "ct")
        yield Case(path.name, path.name, "labelled", study, truth(study, path / "embolus.nii.gz"))


def truth(study: Study, mask: Path) -> Findings:
    """What a mask file says about a study.

    Raises:
        InputError: The mask lies on another grid than the study.
    """
    embolus = on_grid_of(study, mask)
    return Findings(
        study.grid,
        lungs=lungs(study),
        embolus=embolus,
        exam=Exam("positive" if embolus.values.any() else "negative"),
    )


def on_grid_of(study: Study, mask: Path) -> Field:
    """A NIfTI mask (RAS affine) as a field of a study: 255 where it is not 0.

    Raises:
        InputError: It lies on another grid than the study.
    """
    import nibabel as nib

    image: Any = nib.load(mask)
    ras_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    grid = Grid.from_source(image.shape, ras_to_lps @ image.affine)
    if grid.shape != study.grid.shape or not np.allclose(grid.affine, study.grid.affine, atol=0.1):
        raise InputError("E_MASK_GRID", f"{mask} lies on another grid than its study; resample it to the study's")
    inside = grid.to_grid(np.asarray(image.dataobj)) > 0
    return Field((inside * 255).astype(np.uint8), Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2]))


def lungs(study: Study) -> Lungs:
    """The lungs of a real study by threshold and components, with a margin."""
    reference = find_lungs(study)
    box = Box.around(reference.mask)
    dz, dy, dx = (round(MARGIN_MM / s) for s in study.grid.spacing)
    return Lungs(reference.boxes, box.grow((dz, dy, dx), study.grid.shape) if box else None)


def _studies(folder: Path) -> list[Path]:
    found = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    return [p for p in found if (p / "ct").is_dir() and (p / "embolus.nii.gz").is_file()]
