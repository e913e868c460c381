"""What the benches of the simulator ask for: real studies, and how many simulated ones beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cascade.cli.options import existing, not_negative, stem
from cascade.cli.program import Command
from cascade.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Beside(Command):
    """Real studies and simulated ones.

    Attributes:
        real: Folders or files of real studies.
        simulated: How many studies to simulate.
        seed: Of the first of them.
        anatomy: Label maps to simulate on; procedural by default.
        split: Which anatomies of split.csv.
    """

    real: tuple[Path, ...] = ()
    simulated: int = 0
    seed: int = 0
    anatomy: Annotated[Path | None, arg(metavar="FOLDER")] = None
    split: str = ""

    @property
    def seeds(self) -> range:
        """Of the simulated studies."""
        return range(self.seed, self.seed + self.simulated)

    def maps(self) -> list[Path]:
        """The label maps to simulate on, once all that was asked for is known to be there.

        Raises:
            UsageError: There is nothing to look at, or a number makes no sense.
            InputError: A study or the label maps are missing.
        """
        from cascade.cli.simulate import anatomies

        not_negative(simulated=self.simulated, seed=self.seed)
        if not (self.real or self.simulated):
            raise UsageError("there is nothing to look at; give --real STUDY, --simulated 20, or both")
        for path in self.real:
            existing(path)
        return anatomies(self.anatomy, self.split)


def study_name(path: Path) -> str:
    """A study's name from its path; a folder `ct` is named after the patient's folder above it."""
    return path.resolve().parent.name if path.name == "ct" else stem(path)
