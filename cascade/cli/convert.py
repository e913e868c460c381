"""`cascade convert`: DICOM slices to a volume, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cascade.cli.options import STUDY, Series, existing
from cascade.cli.program import OK, Command
from cascade.cli.terminal import say
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.folder import usable_out

VOLUMES = (".nii", ".nii.gz")


@dataclass(frozen=True, kw_only=True)
class Convert(Command):
    """Convert DICOM slices to a NIfTI volume, or a volume to DICOM slices: HU and geometry stay what they are.

    For example:
        cascade convert STUDY ct.nii.gz
        cascade convert ct.nii.gz SLICES
        cascade convert ct.nrrd ct.nii

    Attributes:
        source: DICOM folder, NIfTI or NRRD file.
        target: A file that ends in .nii or .nii.gz, or a new folder for DICOM slices.
        series: Number, UID or description of the series to read, where a folder holds several.
    """

    source: Positional[Annotated[Path, arg(metavar="SRC")]]
    target: Positional[Annotated[Path, arg(metavar="DST")]]
    series: Series = None

    def run(self) -> int:
        """Read the study, and write it in the other format."""
        existing(self.source, STUDY)
        volume = self.target.name.lower().endswith(VOLUMES)
        if not volume and self.target.suffix and not self.target.is_dir():
            raise UsageError(f"{self.target} is neither .nii, .nii.gz nor a folder; volumes are written as NIfTI")
        if volume and self.target.exists():
            raise UsageError(f"{self.target} is there already; name another file", "E_OUT")
        if not volume:
            usable_out(self.target, None)
        from cascade.reading import read
        from cascade.writing import write_dicom, write_nifti

        study = read(self.source, series=self.series, minimum_slices=1)
        if volume:
            write_nifti(study, self.target)
        else:
            with whole_folder(self.target) as folder:
                write_dicom(study, folder)
        z, y, x = study.grid.shape
        say(self, f"{z} slices of {y} x {x} in {self.target}")
        return OK
