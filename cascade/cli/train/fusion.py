"""`cascade-train fusion`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cascade.cli.options import Device, Runtime, existing, named
from cascade.cli.program import OK, Command
from cascade.cli.terminal import progress_bar, say
from cascade.cli.train.options import Folders, Name
from cascade.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Fusion(Command):
    """Fit coefficients, calibration and operating points of a bundle, for it and for each subset of its stages.

    For example:
        cascade-train fusion --data HELD --bundle RUN/bundle
        cascade-train fusion --data HELD --bundle RUN/bundle -o FITTED

    Attributes:
        data: Data sets of validation exams, of patients that no network learned from.
        bundle: The bundle.
        dataset: Layout of the data sets, where it cannot be found by looking.
        assume_negative: Plain scans, of which nobody says anything, show no embolism; it is unknown otherwise.
        out: Folder for the fitted bundle; the bundle's own by default.
        device: Where the networks run.
        runtime: What runs the networks.
    """

    data: Folders = ()
    dataset: Name = None
    assume_negative: bool = False
    bundle: Annotated[Path, arg(metavar="FOLDER")]
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="FOLDER")] = None
    device: Device = "auto"
    runtime: Runtime = "auto"

    def run(self) -> int:
        """Fit the fusion, and write it into the bundle."""
        if not self.data:
            raise UsageError("no exams to fit on; give --data FOLDER")
        for folder in self.data:
            existing(folder)
        from cascade.bundle import load
        from cascade.datasets import refuse_unknown_layout
        from cascade.training.fusion import train_fusion

        refuse_unknown_layout(self.dataset)
        bundle = load(self.bundle)
        out = self.out or bundle.folder or self.bundle
        with progress_bar(self) as progress:
            train_fusion(
                self.data,
                bundle,
                out,
                dataset=self.dataset,
                assume_negative=self.assume_negative,
                device=self.device,
                runtime=named(self.runtime),
                progress=progress,
            )
        say(self, f"fitted; the bundle is {out}")
        return OK
