"""`cascade demo`: simulate a study, read it, and show what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from cascade.cli.folder import PICTURE, earlier_demo
from cascade.cli.options import STUDY, Bundle, Device, Runtime, Series, existing, named, not_negative
from cascade.cli.program import OK, Command, say_aside
from cascade.cli.terminal import progress_bar, summary
from cascade.core.files import whole_folder
from cascade.core.folder import usable_out
from cascade.core.progress import Timings

if TYPE_CHECKING:
    from cascade.core.findings import Findings
    from cascade.core.study import Study

POSITIVE = 2 / 3
"""Chance that a demo's study has emboli."""


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Simulate a study, read it, and write a picture with the embolus outlined; no file is needed.

    For example:
        cascade demo
        cascade demo --seed 7 -o OUT
        cascade demo STUDY               (a study of your own)

    Attributes:
        study: DICOM folder, NIfTI or NRRD file to read instead of a simulated study.
        out: Folder for the picture, the results and the simulated study; an earlier demo in it is replaced.
        seed: Of the simulated study: two of three have emboli.
        series: Number, UID or description of the series to read, where STUDY holds several.
        bundle: Folder of weights; the shipped ones by default.
        device: Where the networks run.
        runtime: What runs the networks.
    """

    study: Positional[Annotated[Path | None, arg(metavar="[STUDY]")]] = None
    out: Annotated[Path, arg(aliases=["-o"], metavar="OUT")] = Path("demo")
    seed: int = 5
    series: Series = None
    bundle: Bundle = None
    device: Device = "auto"
    runtime: Runtime = "auto"

    def run(self) -> int:
        """Simulate or read, answer, draw, and say where to look."""
        not_negative(seed=self.seed)
        usable_out(self.out, earlier_demo)
        if self.study is not None:
            existing(self.study, STUDY)
        from cascade.bench.picture import draw
        from cascade.pipeline import Cascade
        from cascade.reading import read
        from cascade.writing import save_run

        cascade = Cascade.load(self.bundle, device=self.device, runtime=named(self.runtime))
        truth: Findings | None = None
        with whole_folder(self.out, PICTURE) as out:
            if self.study is None:
                self._tell(f"simulating a CT pulmonary angiogram (seed {self.seed}, procedural anatomy)")
                truth = self._simulate(out / "study")
                source = out / "study" / "ct"
            else:
                source = self.study
            study = read(source, series=self.series)
            self._tell(f"reading {study.grid.shape[0]} slices of {study.grid.shape[1]} x {study.grid.shape[2]}")
            with progress_bar(self) as progress:
                timings = Timings(progress)
                findings = cascade.run(study, progress=timings)
            save_run(study, findings, {"seconds": timings.seconds}, out / "results")
            draw(study, findings, out / PICTURE, truth)
        self._tell(*summary(str(self.study or "answer"), findings), *self._places(study, findings, truth))
        return OK

    def _simulate(self, folder: Path) -> Findings:
        from cascade.simulation import Simulation, simulate
        from cascade.simulation.set import write_study

        made = simulate(Simulation(positive=POSITIVE), self.seed)
        write_study(folder, "dicom", made.study, made.truth, made.facts, made.labels)
        return made.truth

    def _places(self, study: Study, findings: Findings, truth: Findings | None) -> list[str]:
        lines = []
        if truth is not None:
            from cascade.metrics.score import score

            result = score(findings, truth)
            if result.positive:
                lines.append(f"truth: {result.found} of {result.clots} emboli found, Dice {result.dice or 0:.2f}")
            else:
                lines.append(f"truth: no embolus; {result.false_positives} false positives")
        return [
            *lines,
            "look at",
            f"  {self.out / PICTURE}    the embolus outlined",
            f"  {self.out / 'results' / 'report.html'}    the report",
            f"  {self.out / 'results' / 'findings.json'}    everything, for programs",
            "research only, not a medical device",
        ]

    def _tell(self, *lines: str) -> None:
        # Unlike other commands a demo speaks in a pipe too: to be read is all it is for.
        if not self.quiet:
            say_aside(*lines)
