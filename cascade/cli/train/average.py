"""`cascade-train average`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cascade.cli.options import existing
from cascade.cli.program import OK, Command
from cascade.cli.terminal import say
from cascade.core.errors import UsageError
from cascade.core.folder import usable_out, writable


@dataclass(frozen=True, kw_only=True)
class Average(Command):
    """Write the mean of the weights of networks that learned on from the same weights.

    Of files comes a file. Of bundles, or the runs that hold them, comes a bundle: each network is the mean of those
    that stand in its place in all of them. Of one bundle its members of one architecture become one.

    For example:
        cascade-train average BEFORE/weights.safetensors AFTER/weights.safetensors -o MEAN.safetensors
        cascade-train segmenter --start MEAN.safetensors --data SET
        cascade-train average RUN RUN2 -o MEAN
        cascade-train average weights -o ONE
        cascade-train fusion --data HELD --bundle MEAN

    Attributes:
        weights: Weights (safetensors) of one network, two files or more, of checkpoints or of a bundle; or folders of
            bundles or runs.
        out: File, or folder, for the mean, which must be new.
    """

    weights: Positional[Annotated[tuple[Path, ...], arg(metavar="FILE|FOLDER [FILE|FOLDER ...]")]] = ()
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE|FOLDER")]

    def run(self) -> int:
        """Write it."""
        for path in self.weights:
            existing(path, "a safetensors file or a bundle")
        folders = [path for path in self.weights if path.is_dir()]
        if folders and len(folders) < len(self.weights):
            raise UsageError("a mean is taken of files, or of bundles; give either")
        if folders:
            return self._of_bundles()
        if self.out.exists():
            raise UsageError(f"{self.out} is there already; give a new file with -o", "E_OUT")
        writable(self.out.parent)
        from cascade.core.files import write_bytes
        from cascade.training.mean import mean_weights

        write_bytes(self.out, mean_weights(self.weights))
        say(self, f"the mean of {len(self.weights)} networks is {self.out}")
        return OK

    def _of_bundles(self) -> int:
        usable_out(self.out, None)
        from cascade.bundle import load, save
        from cascade.training.mean_bundle import mean_bundle

        made = save(mean_bundle([load(path) for path in self.weights]), self.out)
        say(self, f"the bundle of the mean networks is {self.out}")
        if not made.fusion:
            say(self, f"it has no fusion yet: cascade-train fusion --data HELD --bundle {self.out}")
        return OK
