"""`cascade-bench`: how right and how fast a bundle is, and how real the simulator."""

from __future__ import annotations

from collections.abc import Sequence

from cascade.cli.bench.accuracy import Accuracy
from cascade.cli.bench.emboli import Emboli
from cascade.cli.bench.realism import Realism
from cascade.cli.bench.sheets import Sheets
from cascade.cli.bench.speed import Speed
from cascade.cli.program import Command, Program


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `cascade-bench`. Returns its exit code."""
    about = "Measures a bundle, how right and how fast it is, and the simulator, how real it looks."
    commands: dict[str, type[Command]] = {
        "accuracy": Accuracy,
        "speed": Speed,
        "realism": Realism,
        "emboli": Emboli,
        "sheets": Sheets,
    }
    return Program("cascade-bench", about, commands)(arguments)
