"""Studies with a known truth: simulated ones, and labelled CT angiograms.

Layouts, told by what a folder holds:
    simulated   `ct/*.dcm` or `ct.nii.gz`, and `truth/findings.json` with `truth/embolus.nii.gz`
    labelled    `ct/*.dcm`, and `embolus.nii.gz`: 1 or instance numbers, RAS affine, array `[x, y, z]`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.errors import InputError
from cascade.findings import Exam, Field, Findings
from cascade.geometry import Box, Grid
from cascade.study import Study

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Place:
    """Where a study with its truth lies.

    Attributes:
        name: Of its folder.
        volume: What `cascade.reading.read` reads.
        truth: A folder that `Findings.read` reads, or a NIfTI mask.
    """

    name: str
    volume: Path
    truth: Path

    def open(self) -> tuple[Study, Findings]:
        """The study and its truth, on the study's grid."""
        from cascade.reading import read

        study = read(self.volume)
        if self.truth.is_dir():
            return study, Findings.read(self.truth)
        return study, labelled(study.grid, self.truth)


def find(root: Path) -> list[Place]:
    """All studies with a truth in a folder or in its subfolders, in order of their names.

    Raises:
        InputError: There is none.
    """
    places = list(_search(root))
    if not places:
        raise InputError(
            "E_NO_TRUTH",
            f"{root} holds no study with a truth; a study is ct/ or ct.nii.gz beside truth/ or embolus.nii.gz",
        )
    return places


def labelled(grid: Grid, path: Path) -> Findings:
    """The truth in a NIfTI mask of labels, on a study's grid.

    A mask with one label is split into its components (26 neighbours); several labels are instance numbers.

    Raises:
        InputError: The mask does not lie on the study's grid.
    """
    import nibabel as nib

    image = nib.load(path)
    stored = np.asarray(image.dataobj)
    own = Grid.from_source(stored.shape, RAS_TO_LPS @ image.affine)
    mask = own.to_grid(np.rint(stored).astype(np.uint16))
    if own.shape != grid.shape or not np.allclose(own.affine, grid.affine, atol=0.05):
        raise InputError("E_GRID", f"{path} lies on {own}, its study on {grid}; a mask needs the study's own grid")
    return _truth(grid, mask)


def _truth(grid: Grid, mask: NDArray[np.uint16]) -> Findings:
    if mask.max() == 1:
        import cc3d

        mask = cc3d.connected_components(mask > 0, connectivity=26, out_dtype=np.uint16)
    whole = Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])
    sick = bool(mask.any())
    return Findings(
        grid,
        embolus=Field(np.where(mask > 0, np.uint8(255), np.uint8(0)), whole),
        labels=Field(mask, whole),
        exam=Exam("positive" if sick else "negative", float(sick), reason="labelled by a reader"),
    )


def _search(folder: Path) -> Iterator[Place]:
    volume = next((v for v in (folder / "ct", folder / "ct.nii.gz") if v.exists()), None)
    truth = next((t for t in (folder / "truth", folder / "embolus.nii.gz") if t.exists()), None)
    if volume is not None and truth is not None:
        yield Place(folder.name, volume, truth)
        return
    if folder.is_dir():
        for child in sorted(folder.iterdir()):
            if child.is_dir():
                yield from _search(child)
