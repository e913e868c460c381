"""`cascade-train images`: slices as pictures of three windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cascade.cli.options import Out, existing
from cascade.cli.program import OK, Command
from cascade.cli.terminal import say
from cascade.cli.train.options import Count, Folders, Name
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.folder import usable_out


@dataclass(frozen=True, kw_only=True)
class Images(Command):
    """Write slices as pictures of three windows - red lung, green PE, blue mediastinal - with a table of their labels.

    The folder is a data set that the other commands take: that of RSNA JPEG-256. Pictures lose HU outside the windows.

    For example:
        cascade-train images --data CTPA -o PICTURES --size 256
        cascade-train images --data ct.nii.gz -o PICTURES --size 0 --format png

    Attributes:
        data: Data sets, DICOM folders, NIfTI or NRRD files.
        out: New folder.
        dataset: Layout of the data sets, where it cannot be found by looking.
        size: Pixels along the longer side; 0 keeps the scanner's own.
        format: The file's kind: png keeps all levels, jpg is smaller.
        quality: Of jpg, 1 to 100.
    """

    out: Out
    data: Folders = ()
    dataset: Name = None
    size: Count = 256
    format: Literal["jpg", "png"] = "jpg"
    quality: Count = 95

    def run(self) -> int:
        """Write the slices as pictures, with their tables."""
        if not self.data:
            raise UsageError("no data to write pictures of; give --data FOLDER")
        sources: tuple[Path, ...] = tuple(existing(path) for path in self.data)
        usable_out(self.out, None)
        from cascade.training.images import ImageConfig, cases_of, write_images

        config = ImageConfig(self.size or None, self.format, self.quality or 0)
        with whole_folder(self.out) as folder:
            written = write_images((case for path in sources for case in cases_of(path, self.dataset)), folder, config)
        text = f"{written.pictures} pictures of {written.cases} studies in {self.out}"
        say(self, f"{text}; embolism is unknown in {len(written.without)} of them" if written.without else text)
        return OK
