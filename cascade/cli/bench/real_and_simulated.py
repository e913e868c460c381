"""What the benches of the simulator ask for: real studies, and how many simulated ones beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cascade.cli.options import existing, not_negative, refuse_duplicates
from cascade.cli.program import Command
from cascade.cli.simulate import refuse_idle_split
from cascade.core.errors import UsageError
from cascade.core.folder import stem


@dataclass(frozen=True, kw_only=True)
class RealAndSimulated(Command):
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
        """The seeds of the simulated studies."""
        return range(self.seed, self.seed + self.simulated)

    def maps(self) -> list[Path]:
        """The label maps to simulate on, once all that was asked for is known to be there.

        Raises:
            UsageError: There is nothing to look at, a number makes no sense, or an option would be passed over.
            InputError: A study or the label maps are missing.
        """
        not_negative(simulated=self.simulated, seed=self.seed)
        if not (self.real or self.simulated):
            raise UsageError("nothing to show; give --real STUDY, --simulated 20, or both")
        if not self.simulated and self.anatomy is not None:
            raise UsageError("--anatomy says what is simulated on; give --simulated 20 as well")
        refuse_idle_split(self.anatomy, self.split)
        for path in self.real:
            existing(path)
        refuse_duplicates("real studies", map(study_name, self.real))
        from cascade.simulation.label_maps import find_maps

        return find_maps(self.anatomy, self.split)


def study_name(path: Path) -> str:
    """A study's name from its path; a folder `ct` is named after the patient's folder above it."""
    return path.resolve().parent.name if path.name == "ct" else stem(path)
