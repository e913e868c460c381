"""`cascade-bench realism`: how like a scanner's the simulated studies are, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from cascade.cli.bench.real_and_simulated import RealAndSimulated, study_name
from cascade.cli.options import OptionalOut
from cascade.cli.program import OK
from cascade.cli.terminal import progress_bar
from cascade.core.folder import writable


@dataclass(frozen=True, kw_only=True)
class Realism(RealAndSimulated):
    """Measure how like a scanner's simulated studies look: noise, spectrum, tissues, texture, edges.

    For example:
        cascade-bench realism --real STUDY STUDY --simulated 20 --anatomy MAPS -o OUT

    Attributes:
        out: Folder for realism.csv and realism.json.
    """

    out: OptionalOut = None

    def run(self) -> int:
        """Measure, print the table."""
        maps = self.maps()
        if self.out is not None:
            writable(self.out)
        from cascade.bench import table
        from cascade.bench.accuracy import simulated
        from cascade.bench.realism import compare, figures
        from cascade.reading import read
        from cascade.simulation.label_maps import open_all

        real, made = {}, []
        with progress_bar(self) as progress:
            open_all(maps, self.seeds, progress)
            for path in self.real:
                real[study_name(path)] = figures(read(path))
            for done, (_, study, _) in enumerate(simulated(self.seeds, maps), start=1):
                made.append(figures(study))
                if progress is not None:
                    progress("studies", done, self.simulated)
        rows = compare(real, made)
        table.show("Real and simulated", rows)
        if self.out is not None:
            table.write(self.out, "realism", rows, {"real": real, "simulated": made})
        return OK
