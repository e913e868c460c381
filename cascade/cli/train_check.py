"""`cascade-train check`: what data sets hold, before an hour is spent on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cascade.cli.options import existing
from cascade.cli.program import OK, Command, tell
from cascade.cli.train import Folders
from cascade.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Check(Command):
    """Open every case of the data, and say on stdout what is known of it; refuse patients on both sides.

    For example:
        cascade-train check --data SET CHESTS --validation HELD

    Attributes:
        data: Folders to learn from.
        validation: Folders of other patients.
    """

    data: Folders = ()
    validation: Folders = ()

    def run(self) -> int:
        """Open them, print a line each."""
        if not self.data:
            raise UsageError("no data to check; give --data FOLDER")
        for folder in (*self.data, *self.validation):
            existing(folder)
        from cascade.training.datasets import open_cases
        from cascade.training.split import refuse_shared

        patients: dict[str, set[str]] = {"data": set(), "validation": set()}
        for side, folders in (("data", self.data), ("validation", self.validation)):
            known: Counter[str] = Counter()
            for case in (case for folder in folders for case in open_cases(folder)):
                patients[side].add(case.patient)
                known.update(["cases", case.kind])
                known["with embolism"] += bool(case.truth.mask().any())
                for field in ("embolus", "arteries", "lungs", "slices"):
                    known[f"{field} known"] += getattr(case.truth, field) is not None
            told = ", ".join(f"{count} {what}" for what, count in sorted(known.items()))
            tell(f"{side}: {len(patients[side])} patients; {told or 'nothing'}")
        refuse_shared(patients["data"], patients["validation"])
        return OK
