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
from cascade.core.folder import writable


@dataclass(frozen=True, kw_only=True)
class Average(Command):
    """Write the mean of the weights of networks that learned on from the same weights.

    For example:
        cascade-train average BEFORE/weights.safetensors AFTER/weights.safetensors -o MEAN.safetensors
        cascade-train segmenter --start MEAN.safetensors --data SET

    Attributes:
        weights: Weights (safetensors) of one network, two files or more, of checkpoints or of a bundle.
        out: File for the mean, which must be new.
    """

    weights: Positional[Annotated[tuple[Path, ...], arg(metavar="FILE FILE [FILE ...]")]] = ()
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]

    def run(self) -> int:
        """Write it."""
        for file in self.weights:
            existing(file, "a safetensors file")
        if self.out.exists():
            raise UsageError(f"{self.out} is there already; give a new file with -o", "E_OUT")
        writable(self.out.parent)
        from cascade.core.files import write_bytes
        from cascade.training.mean import mean_weights

        write_bytes(self.out, mean_weights(self.weights))
        say(self, f"the mean of {len(self.weights)} networks is {self.out}")
        return OK
