"""`cascade-bench speed`: how fast a bundle is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from cascade.cli.options import STUDY, Bundle, Device, OptionalOut, Runtime, existing
from cascade.cli.program import OK, Command, tell
from cascade.cli.terminal import progress_bar
from cascade.core.errors import UsageError
from cascade.core.folder import writable

SLICES = (20, 2000)
"""Fewest and most slices of a study that is timed."""


@dataclass(frozen=True, kw_only=True)
class Speed(Command):
    """Time a study from DICOM files to the decision, by stage, with the peak of memory.

    For example:
        cascade-bench speed
        cascade-bench speed --study STUDY --repeat 5 --runtime torch

    Attributes:
        study: DICOM folder; a simulated one by default.
        slices: Slices of the simulated study, 512 x 512 each.
        repeat: Runs, each in a process of its own, after a first one that may compile; medians are shown.
        bundle: Folder of weights; the shipped ones by default.
        device: Where the networks run.
        runtime: What runs the networks.
        out: Folder for speed.csv and speed.json.
    """

    study: Annotated[Path | None, arg(metavar="STUDY")] = None
    slices: int = 300
    repeat: int = 3
    bundle: Bundle = None
    device: Device = "auto"
    runtime: Runtime = "auto"
    out: OptionalOut = None

    def run(self) -> int:
        """Time it, print the table."""
        if self.repeat < 1 or not SLICES[0] <= self.slices <= SLICES[1]:
            text = f"--repeat is {self.repeat} and --slices {self.slices}"
            raise UsageError(f"{text}; they must be 1 or more and from {SLICES[0]} to {SLICES[1]}")
        if self.out is not None:
            writable(self.out)
        import tempfile

        from cascade.bench import table
        from cascade.bench.speed import middle, simulated_study, time_run

        options = ["--device", self.device, "--runtime", self.runtime]
        options += ["--bundle", str(self.bundle)] if self.bundle else []
        with tempfile.TemporaryDirectory(prefix="cascade-speed-") as folder, progress_bar(self) as progress:
            study = existing(self.study, STUDY) if self.study else simulated_study(Path(folder), self.slices)
            # The first run compiles the networks where the cache does not hold them yet: it stands for itself.
            first = time_run(study, options)
            timings = []
            for done in range(1, self.repeat + 1):
                timings.append(time_run(study, options))
                if progress is not None:
                    progress("runs", done, self.repeat)
        timing = middle(timings)
        rows: list[dict[str, Any]] = [{"stage": name, "seconds": s} for name, s in timing.stages.items()]
        rows.append({"stage": "whole process", "seconds": timing.wall_s})
        rows.append({"stage": "first run, before the others", "seconds": first.wall_s})
        table.show(f"{study.name}, median of {self.repeat}", rows)
        tell(f"CPU time {timing.cpu_s:.1f} s, peak memory {timing.peak_mb:.0f} MB (first run {first.peak_mb:.0f} MB)")
        if self.out is not None:
            more = {"cpu_s": timing.cpu_s, "peak_mb": timing.peak_mb, "first_peak_mb": first.peak_mb}
            table.write(self.out, "speed", rows, {**more, "repeat": self.repeat})
        return OK
