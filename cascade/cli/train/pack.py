"""`cascade-train pack`: data sets as packed cases, which the coarse stage takes as they are."""

from __future__ import annotations

from dataclasses import dataclass

from cascade.cli.options import Out, existing
from cascade.cli.program import OK, Command
from cascade.cli.terminal import progress_bar, say
from cascade.cli.train.options import Folders, Name
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.folder import usable_out


@dataclass(frozen=True, kw_only=True)
class Pack(Command):
    """Write the cases of data sets packed: one file of 10 to 20 MB each, on a lattice of 2 mm around the lungs.

    The folder is a data set (layout stored) of the same names, patients and truth. The coarse stage packs what is not
    packed yet by itself; packed once, studies are small to keep and to send.

    For example:
        cascade-train pack --data FUMPE READ -o PACKED
        cascade-train segmenter --stage coarse --data PACKED SIMULATED --validation HELD -o RUN

    Attributes:
        data: Data sets: folders in any layout of docs/datasets.md, or YAML files that describe one.
        out: New folder.
        dataset: Layout of the data sets, where it cannot be found by looking.
        assume_negative: Plain scans, of which nobody says anything, show no embolism; it is unknown otherwise.
        step_mm: Distance of the lattice's points, that of the stage which is trained (stage.step_mm).
    """

    out: Out
    data: Folders = ()
    dataset: Name = None
    assume_negative: bool = False
    step_mm: float = 2.0

    def run(self) -> int:
        """Write them."""
        if not self.data:
            raise UsageError("no data to pack; give --data FOLDER")
        if not 0.5 <= self.step_mm <= 10:
            raise UsageError(f"--step-mm is {self.step_mm}; it must be a number from 0.5 to 10")
        for folder in self.data:
            existing(folder)
        usable_out(self.out, None)
        from cascade.datasets import entries
        from cascade.training.packed import pack_into

        found = [one for folder in self.data for one in entries(folder, self.dataset, self.assume_negative)]
        with whole_folder(self.out) as folder, progress_bar(self) as progress:
            for count, _ in enumerate(pack_into(folder, found, self.step_mm), start=1):
                if progress is not None:
                    progress("cases", count, len(found))
        say(self, f"{len(found)} packed cases in {self.out}")
        return OK
