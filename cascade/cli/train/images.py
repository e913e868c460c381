"""`cascade-train images`: slices as pictures of three windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from cascade.cli.options import Out, existing
from cascade.cli.program import OK, Command
from cascade.cli.terminal import say
from cascade.cli.train.training import Count, Folders
from cascade.core.errors import UsageError
from cascade.core.folder import usable_out, whole


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
    dataset: Annotated[str | None, arg(metavar="NAME")] = None
    size: Count = 256
    format: Literal["jpg", "png"] = "jpg"
    quality: Count = 95

    def run(self) -> int:
        """Write them."""
        if not self.data:
            raise UsageError("no data to write pictures of; give --data FOLDER")
        size, quality = self.size or 0, self.quality or 0
        if not (0 <= size <= 4096 and 1 <= quality <= 100):
            raise UsageError(f"--size is {size} and --quality {quality}; 0 to 4096 pixels and 1 to 100 are meant")
        sources: tuple[Path, ...] = tuple(existing(path) for path in self.data)
        usable_out(self.out, None)
        from cascade.training.images import ImageConfig, cases_of, write_images

        config = ImageConfig(size or None, self.format, quality)
        with whole(self.out) as folder:
            told = write_images((case for path in sources for case in cases_of(path, self.dataset)), folder, config)
        text = f"{told.pictures} pictures of {told.cases} studies in {self.out}"
        say(self, f"{text}; embolism is unknown in {len(told.without)} of them" if told.without else text)
        return OK
