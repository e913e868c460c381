"""`cascade-bench sheets`: simulated studies beside real ones, as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cascade.cli.bench.real_and_simulated import RealAndSimulated, study_name
from cascade.cli.options import Out
from cascade.cli.program import OK
from cascade.cli.terminal import progress_bar
from cascade.core.errors import UsageError
from cascade.core.folder import writable

WIDTHS = (32, 2048)
"""The narrowest and the widest picture, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Sheets(RealAndSimulated):
    """Put simulated studies beside real ones, at the same levels, windows and scale.

    For example:
        cascade-bench sheets --real STUDY STUDY --simulated 6 --anatomy MAPS -o OUT

    Attributes:
        levels: Heights to show, such as hilum,ventricles; all by default.
        size: Width of a picture, pixels.
        out: Folder for a PNG a window.
    """

    simulated: int = 4
    levels: str = ""
    size: int = 256
    out: Out

    def run(self) -> int:
        """Draw the sheets."""
        from cascade.bench import sheets
        from cascade.bench.accuracy import simulated
        from cascade.reading import read
        from cascade.simulation.label_maps import open_all

        levels = [name.strip() for name in self.levels.split(",") if name.strip()] or list(sheets.LEVELS)
        if unknown := set(levels) - set(sheets.LEVELS):
            raise UsageError(f"--levels names {', '.join(sorted(unknown))}; choose from {', '.join(sheets.LEVELS)}")
        if not WIDTHS[0] <= self.size <= WIDTHS[1]:
            raise UsageError(f"--size is {self.size}; it must be from {WIDTHS[0]} to {WIDTHS[1]} pixels")
        maps = self.maps()
        writable(self.out)
        rows: dict[str, list[tuple[str, Any]]] = {"pe": [], "lung": []}
        with progress_bar(self) as progress:
            open_all(maps, self.seeds, progress)
            real = ((study_name(path), read(path)) for path in self.real)
            made = ((name, study) for name, study, _ in simulated(self.seeds, maps))
            # One real, one simulated, as long as there are both: neighbours are easiest to compare.
            for done, (name, study) in enumerate(in_turn(real, made), start=1):
                for window, pictures in rows.items():
                    pictures.append((name, sheets.tiles(study, window, self.size, levels)))
                if progress is not None:
                    progress("studies", done, len(self.real) + self.simulated)
        for window, pictures in rows.items():
            if pictures:
                sheets.write(self.out / f"sheet-{window}.png", sheets.sheet(pictures, levels))
        return OK


def in_turn(*series: Iterator[Any]) -> Iterator[Any]:
    """One of each in turn, until all have ended."""
    waiting = list(series)
    while waiting:
        for one in list(waiting):
            try:
                yield next(one)
            except StopIteration:
                waiting.remove(one)
