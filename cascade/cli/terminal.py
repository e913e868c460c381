"""What a person at a terminal sees: a progress bar, a few lines at the end. In a pipe there is silence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cascade.cli.program import Command, say_aside

if TYPE_CHECKING:
    from cascade.findings import Findings

Progress = Callable[[str, int, int], None]
"""Called with the name of what is being done, how much of it is done, and how much there is."""

SHOWN_LESIONS = 4


def say(command: Command, *lines: str) -> None:
    """Lines for a person on stderr: on a terminal, or with -v; never with -q."""
    if not command.quiet and (command.verbose or sys.stderr.isatty()):
        say_aside(*lines)


@contextmanager
def progress_bar(command: Command) -> Iterator[Progress | None]:
    """A bar on stderr for the time of a block; None where nobody looks at it."""
    if command.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name.replace("_", " "), total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield show


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
