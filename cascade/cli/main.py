"""The program `cascade`: its commands by name."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `cascade`, which is also `python -m cascade`. Returns its exit code."""
    from cascade.cli.convert import Convert
    from cascade.cli.demo import Demo
    from cascade.cli.inspect import Inspect
    from cascade.cli.program import Program
    from cascade.cli.run import Run
    from cascade.cli.simulate import Simulate

    program = Program(
        "cascade",
        "Reads a CT pulmonary angiogram with a cascade of networks: embolism or not, where, how sure, why. "
        "Research only, not a medical device.",
        {"run": Run, "simulate": Simulate, "convert": Convert, "demo": Demo, "inspect": Inspect},
    )
    return program(arguments)
