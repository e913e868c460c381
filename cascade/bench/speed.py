"""How fast: one study from DICOM files to the decision, in a process of its own, as a user runs it.

A process of its own, because what counts is what a user waits for: the start of Python, the imports and the
loading of networks included, and because only then is the peak of memory the program's and nobody else's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from cascade.core.errors import InputError


@dataclass(frozen=True)
class Timing:
    """One run.

    Attributes:
        stages: Seconds of each stage, in their order; what the program itself says in run.json.
        wall_s: From the start of the process to its end.
        cpu_s: CPU time of the process, all threads.
        peak_mb: Most resident memory, MB (10^6 bytes).
    """

    stages: dict[str, float]
    wall_s: float
    cpu_s: float
    peak_mb: float


def time_run(study: Path, options: Sequence[str] = ()) -> Timing:
    """Run `cascade run` on a study once, in a process of its own.

    Args:
        study: What `cascade run` takes.
        options: Further options of `cascade run`.

    Raises:
        InputError: The run failed; its own sentence is passed on.
    """
    with tempfile.TemporaryDirectory(prefix="cascade-speed-") as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "cascade", "run", str(study), "-o", str(out), *options]
        with (Path(folder) / "stderr").open("w+b") as stderr:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
            # wait4 gives the figures of this one child; RUSAGE_CHILDREN would mix in all earlier ones.
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                stderr.seek(0)
                said = stderr.read().decode(errors="replace").strip().splitlines()
                raise InputError(
                    "E_RUN_FAILED", f"cascade run {study} exited {process.returncode}: {said[-1] if said else ''}"
                )
        return Timing(
            stages={name: float(s) for name, s in json.loads((out / "run.json").read_text())["seconds"].items()},
            wall_s=wall_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        )


def simulated_study(folder: Path, slices: int, seed: int = 1) -> Path:
    """Write a simulated chest of exactly so many slices of 512 x 512 as DICOM, and return its folder.

    The slices of a study at 1 mm are picked evenly, and stated to lie accordingly further apart or closer.
    """
    from cascade.core.grid import Grid
    from cascade.core.study import Study
    from cascade.simulation import Simulation, simulate
    from cascade.writing import write_dicom

    config = Simulation(positive=1.0, slice_mm=(1.0,), slice_weights=(1.0,), crop=0.0)
    made = simulate(config, seed).study
    z_mm, y_mm, x_mm = made.grid.spacing
    pick = np.rint(np.linspace(0, len(made.hu) - 1, slices)).astype(int)
    hu = np.ascontiguousarray(made.hu[pick])
    grid = Grid.simple((slices, hu.shape[1], hu.shape[2]), (z_mm * len(made.hu) / slices, y_mm, x_mm))
    write_dicom(Study(hu, grid, made.facts), folder / "ct")
    return folder / "ct"


def middle(timings: Sequence[Timing]) -> Timing:
    """The median of each figure; of memory the largest."""
    return Timing(
        stages={name: median(t.stages.get(name, 0.0) for t in timings) for name in timings[0].stages},
        wall_s=median(t.wall_s for t in timings),
        cpu_s=median(t.cpu_s for t in timings),
        peak_mb=max(t.peak_mb for t in timings),
    )
