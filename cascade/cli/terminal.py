"""What a person at a terminal sees: a progress bar, a few lines at the end. In a pipe there is silence."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cascade.cli.program import Command, say_aside

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from cascade.core.findings import Findings
    from cascade.core.progress import Progress
    from cascade.training.run import Watch

SHOWN_LESIONS = 4
SHOWN = ("train_loss", "loss", "score", "dice", "f1", "pe_auc", "lung_auc")
"""What is said of an evaluation of a training, where there is such a figure."""


def say(command: Command, *lines: str) -> None:
    """Lines for a person on stderr: on a terminal, or with -v; never with -q."""
    if not command.quiet and (command.verbose or sys.stderr.isatty()):
        say_aside(*lines)


@contextmanager
def progress_bar(command: Command) -> Iterator[Progress | None]:
    """A bar on stderr for the time of a block; None where nobody looks at it."""
    with _bars(command) as bars:
        if bars is None:
            yield None
            return
        tasks: dict[str, TaskID] = {}
        last: dict[str, int] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name.replace("_", " "), total=total)
            elif done < last[name]:  # another study has begun
                bars.reset(tasks[name])
            bars.update(tasks[name], completed=done, total=total)
            last[name] = done

        yield show


@contextmanager
def training_progress(command: Command) -> Iterator[Watch | None]:
    """For the time of a training a line an evaluation, and on a terminal a bar with the loss and the best score."""
    if command.quiet:
        yield None
        return
    with _bars(command) as bars:
        task = None if bars is None else bars.add_task("reading", total=None)
        best = -math.inf

        def watch(step: int, steps: int, figures: Mapping[str, float], evaluated: bool) -> None:
            nonlocal best
            if evaluated:
                noted = ", ".join(f"{name} {figures[name]:.4g}" for name in SHOWN if name in figures)
                say_aside(f"step {step} of {steps}, {figures['minutes']:.1f} min: {noted}")
                best = max(best, figures.get("score", -math.inf))
            elif bars is not None and task is not None:
                shown = f"loss {figures['loss']:.4f}" + (f", best score {best:.3f}" if math.isfinite(best) else "")
                bars.update(task, completed=step, total=steps, description=shown)

        yield watch


@contextmanager
def _bars(command: Command) -> Iterator[Bars | None]:
    if command.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield bars


def summary(name: str, findings: Findings) -> list[str]:
    """At most ten lines on what was found; slices are counted as in the source and in lesions.csv."""
    from cascade.writing.record import source_index

    lines = [name]
    exam = findings.exam
    if exam is not None:
        chance = "" if exam.probability is None else f", probability {exam.probability:.2f}"
        lines.append(f"  {exam.decision.upper()}{chance}: {exam.reason}")
    for lesion in (findings.lesions or ())[:SHOWN_LESIONS]:
        place = f" {lesion.place}" if lesion.place else ""
        first, last = sorted(source_index(findings.grid, z) for z in lesion.slices)
        lines.append(
            f"  lesion {lesion.number}: {lesion.side}{place}, {lesion.volume_mm3:.0f} mm3, slices {first} to {last}, "
            f"probability {lesion.probability:.2f}"
        )
    more = len(findings.lesions or ()) - SHOWN_LESIONS
    if more > 0:
        lines.append(f"  and {more} more")
    codes = sorted({warning.code for warning in findings.warnings})
    if codes:
        lines.append(f"  warnings: {', '.join(codes)}")
    return lines
