"""`cascade-train check`: what data sets hold, and what is wrong with them, before an hour is spent on them."""

from __future__ import annotations

from dataclasses import dataclass

from cascade.cli.options import existing
from cascade.cli.program import OK, Command, say_aside, tell
from cascade.cli.train.options import Folders, Name
from cascade.core.errors import InputError, UsageError


@dataclass(frozen=True, kw_only=True)
class Check(Command):
    """Open every case of the data and say what is known of it; then what is wrong, one line a fault.

    Faults end with exit code 3: patients on both sides, masks that are missing, turned or on another grid, files that
    cannot be read, values that are no HU, the same study twice. Warnings are for a person to look at.

    For example:
        cascade-train check --data SET CHESTS --validation HELD

    Attributes:
        data: Data sets to learn from.
        validation: Data sets of other patients.
        dataset: Layout of the data sets, where it cannot be found by looking.
    """

    data: Folders = ()
    validation: Folders = ()
    dataset: Name = None

    def run(self) -> int:
        """Look through the data sets, and print what stands against training."""
        if not self.data:
            raise UsageError("no data to check; give --data FOLDER")
        for folder in (*self.data, *self.validation):
            existing(folder)
        from cascade.datasets.checks import check

        report = check(self.data, self.validation, self.dataset)
        for side in report.sides if self.validation else report.sides[:1]:
            for line in side.lines():
                tell(line)
        for line in report.lines():
            say_aside(line)
        if report.sound:
            return OK
        count = sum(fault.hard for fault in report.faults)
        say_aside(f"{count} {'fault' if count == 1 else 'faults'}: mend the data before training on them")
        return InputError.exit_code
