"""`cascade-bench emboli`: simulated emboli beside those of patients."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from cascade.cli.options import OptionalOut, existing, not_negative, refuse_duplicates
from cascade.cli.program import OK, Command
from cascade.cli.simulate import refuse_idle_split
from cascade.cli.terminal import progress_bar
from cascade.core.errors import UsageError
from cascade.core.folder import stem, writable

SLICES_MM = (0.3, 10.0)


@dataclass(frozen=True, kw_only=True)
class Emboli(Command):
    """Compare simulated emboli with those that readers outlined: volume, pieces, height.

    For example:
        cascade-bench emboli PAT013.nii.gz PAT014.nii.gz PAT015.nii.gz --simulated 200 --anatomy MAPS -o OUT
        cascade-bench emboli MASKS --simulated 20

    Attributes:
        masks: Masks of patients (NIfTI), or folders of them; empty ones are left out.
        simulated: How many studies with emboli to simulate.
        seed: Of the first of them.
        anatomy: Label maps to simulate on; procedural by default.
        split: Which anatomies of split.csv.
        slice_mm: Distance of the simulated slices; that of the masks.
        out: Folder for emboli.csv, emboli.json and emboli.png.
    """

    masks: Positional[Annotated[tuple[Path, ...], arg(metavar="MASK|FOLDER ...")]]
    simulated: int = 200
    seed: int = 0
    anatomy: Annotated[Path | None, arg(metavar="FOLDER")] = None
    split: str = ""
    slice_mm: float = 1.0
    out: OptionalOut = None

    def run(self) -> int:
        """Measure both, print the table."""
        if self.simulated < 1:
            raise UsageError(f"--simulated is {self.simulated}; it must be 1 or more")
        if not SLICES_MM[0] <= self.slice_mm <= SLICES_MM[1]:
            text = f"--slice-mm is {self.slice_mm:g}; it must be from {SLICES_MM[0]:g} to {SLICES_MM[1]:g}"
            raise UsageError(f"{text}, as slices of chests are")
        not_negative(seed=self.seed)
        refuse_idle_split(self.anatomy, self.split)
        if self.out is not None:
            writable(self.out)
        found = [one for path in self.masks for one in files(existing(path))]
        refuse_duplicates("masks", (stem(path) for path in found))
        from cascade.bench import table
        from cascade.bench.emboli import compare, draw, of_patients, simulated
        from cascade.simulation.label_maps import find_maps, open_all

        maps = find_maps(self.anatomy, self.split)
        real, made = dict(of_patients(found)), {}
        if not real:
            raise UsageError(
                f"none of the {len(found)} masks holds an embolus; give NIfTI masks of patients with emboli"
            )
        with progress_bar(self) as progress:
            seeds = range(self.seed, self.seed + self.simulated)
            open_all(maps, seeds, progress)
            for seed, measured in simulated(seeds, maps, self.slice_mm):
                made[seed] = measured
                if progress is not None:
                    progress("studies", seed - self.seed + 1, self.simulated)
        if not made:
            raise UsageError("no embolus found room in any simulated study; give another --seed or --anatomy")
        rows = compare(list(real.values()), list(made.values()))
        table.show("Emboli of patients and simulated ones", rows)
        if self.out is not None:
            sides = {
                "patients": {name: asdict(one) for name, one in real.items()},
                "simulated": {str(name): asdict(one) for name, one in made.items()},
            }
            table.write(self.out, "emboli", rows, sides)
            draw(list(real.values()), list(made.values()), self.out / "emboli.png")
        return OK


def files(path: Path) -> list[Path]:
    """A mask, or those of a folder in the order of their names."""
    return [path] if path.is_file() else sorted([*path.glob("*.nii.gz"), *path.glob("*.nii")])
