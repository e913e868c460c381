"""Looking through data sets before an hour is spent on them: what they hold, and what is wrong with them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cascade.core.errors import CascadeError
from cascade.core.truth import embolus_on
from cascade.datasets import Entry, entries
from cascade.datasets.case import Case
from cascade.datasets.mask_checks import Fault, suspicions

SHOWN = 5
"""So many names are given for a fault that many share."""

KNOWN = ("lungs", "slices", "embolus", "arteries", "exam")


@dataclass
class Side:
    """What one side of a split holds.

    Attributes:
        name: "data" or "validation".
        patients: The first file of each, by patient.
        cases: How many of each kind.
        exams: Cases with embolism, without, or unknown.
        slices: Slices likewise.
        judged: As `exams`, without plain scans, whose lack of emboli is an assumption.
        known: How many cases say something of a field of `Findings`.
        remarks: How often the reader remarked what, by code.
        low: Lowest HU.
        high: Highest HU.
    """

    name: str
    patients: dict[str, str] = field(default_factory=dict)
    cases: Counter[str] = field(default_factory=Counter)
    exams: Counter[str] = field(default_factory=Counter)
    slices: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    low: int = 32767
    high: int = -32768

    def lines(self) -> Iterator[str]:
        """A few lines for a person."""
        count = self.cases.total()
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.cases.items()))
        of = f"{_counted(count, 'case')} of {_counted(len(self.patients), 'patient')}"
        yield f"{self.name}: {of} ({kinds or 'nothing'})"
        if not count:
            return
        for what, counts in (("case", self.exams), ("slice", self.slices)):
            some, none, unknown = (counts[answer] for answer in ("with", "without", "unknown"))
            yield f"{self.name}: embolism in {_counted(some, what)}, none in {none}, unknown in {unknown}"
        fields = ", ".join(f"{name} of {self.known[name]}" for name in KNOWN)
        yield f"{self.name}: known are {fields}; HU {self.low} to {self.high}"
        if self.remarks:
            remarks = ", ".join(f"{code} {n}" for code, n in sorted(self.remarks.items()))
            yield f"{self.name}: remarks of the reader: {remarks}"


@dataclass
class Report:
    """What a check found.

    Attributes:
        sides: Data and validation.
        faults: In the order in which they were found.
    """

    sides: tuple[Side, Side]
    faults: list[Fault] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing stands against training."""
        return not any(fault.hard for fault in self.faults)

    def lines(self) -> Iterator[str]:
        """A line for every fault, those first that stand against training; of warnings of one kind the first few."""
        yield from (f"error: {fault.code}: {fault.text}" for fault in self.faults if fault.hard)
        warnings: dict[str, list[Fault]] = {}
        for fault in self.faults:
            if not fault.hard:
                warnings.setdefault(fault.code, []).append(fault)
        for code, some in warnings.items():
            yield from (f"warning: {code}: {fault.text}" for fault in some[:SHOWN])
            if len(some) > SHOWN:
                yield f"warning: {code}: and {_counted(len(some) - SHOWN, 'case')} more like these"


def check(data: Sequence[Path], validation: Sequence[Path] = (), layout: str | None = None) -> Report:
    """Open every case and look at it; a fault never hides the next one.

    Args:
        data: Data sets to learn from.
        validation: Data sets of other patients.
        layout: A name of `LAYOUTS` for all of them; found by looking by default.
    """
    learn, held = Side("data"), Side("validation")
    report = Report((learn, held))
    seen: dict[bytes, tuple[str, Entry]] = {}
    for side, folders in ((learn, data), (held, validation)):
        for folder in folders:
            for entry in _entries(folder, layout, report):
                side.patients.setdefault(entry.patient, entry.where)
                _look(entry, side, report, seen)
    report.faults += [*_shared(learn, held), *(fault for side in report.sides for fault in _one_class(side))]
    return report


def _entries(folder: Path, layout: str | None, report: Report) -> Iterator[Entry]:
    try:
        yield from entries(folder, layout)
    except CascadeError as error:
        report.faults.append(Fault(error.code, f"{folder.name}: {error.text}"))


def _look(entry: Entry, side: Side, report: Report, seen: dict[bytes, tuple[str, Entry]]) -> None:
    try:
        case = entry.open()
    except CascadeError as error:
        report.faults.append(Fault(error.code, error.text))
        return
    _count(case, side)
    report.faults += suspicions(case, entry.where)
    digest = hashlib.sha256(np.ascontiguousarray(case.study.hu).data).digest()
    where, twin = seen.setdefault(digest, (side.name, entry))
    if twin is not entry:
        text = f"{entry.where} of {side.name} has the voxels of {twin.where} of {where}"
        report.faults.append(
            Fault("E_DUPLICATE", f"{text}; take one of them away, it would be learned or judged twice")
        )


def _count(case: Case, side: Side) -> None:
    truth = case.truth
    side.cases[case.kind] += 1
    side.remarks.update({note.code for note in case.study.warnings})
    side.low, side.high = min(side.low, int(case.study.hu.min())), max(side.high, int(case.study.hu.max()))
    for name in KNOWN:
        side.known[name] += getattr(truth, name) is not None
    shown = Counter(_answer(embolus_on(truth, z)) for z in range(case.study.grid.shape[0]))
    side.slices.update(shown)
    if truth.embolus is not None:
        exam = "with" if truth.mask().any() else "without"
    elif truth.exam is not None and truth.exam.decision in ("positive", "negative"):
        exam = "with" if truth.exam.decision == "positive" else "without"
    else:
        exam = "with" if shown["with"] else "unknown"
    side.exams[exam] += 1
    if case.kind != "real":
        side.judged[exam] += 1


def _answer(value: float) -> str:
    return "unknown" if math.isnan(value) else "with" if value >= 0.5 else "without"


def _shared(learn: Side, held: Side) -> Iterator[Fault]:
    """Patients are split, never studies or slices."""
    shared = sorted(learn.patients.keys() & held.patients.keys())
    if shared:
        first = shared[0]
        text = (
            f"data and validation share {_counted(len(shared), 'patient')}: {_names(shared)} "
            f"({learn.patients[first]} and {held.patients[first]})"
        )
        yield Fault("E_SPLIT", f"{text}; move all studies of a patient to one side")


def _one_class(side: Side) -> Iterator[Fault]:
    """Cases that all have the same answer teach none, and judge none."""
    present, absent = side.judged["with"], side.judged["without"]
    if not present and not absent:
        return  # nothing is said of embolism: such data are for the lungs
    lacking = "with" if not present else "without" if not absent else None
    if lacking is None:
        return
    text = f"no case of {side.name} is {lacking} embolism, of {present + absent} of which it is known"
    remedy = f"add some {lacking} it"
    if side.slices["with"] and side.slices["without"]:
        yield Fault("W_ONE_CLASS", f"{text}; slices of both kinds are there, but no exam can be judged: {remedy}")
    else:
        yield Fault("E_ONE_CLASS", f"{text}; there is nothing to tell apart: {remedy}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(repr(name) for name in listed[:SHOWN]) + more
