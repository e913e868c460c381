"""Studies that `cascade simulate` wrote: `index.csv`, and for each study `ct` and `truth/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cascade.datasets.case import Case, Kind
from cascade.datasets.entry import Entry
from cascade.datasets.table import rows
from cascade.reading import read
from cascade.writing import load_findings

ONTO = "onto-"
"""Begins the anatomy of a real study that was painted onto; the patient's name follows."""


@dataclass(frozen=True)
class Options:
    """This layout has no options."""


def fits(folder: Path) -> bool:
    """Whether the folder has an index of simulated studies."""
    return (folder / "index.csv").is_file()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the index."""
    for row in rows(folder / "index.csv", ("study", "anatomy")):
        study, anatomy = folder / row["study"], row["anatomy"]
        ct = study / "ct.nii.gz" if (study / "ct.nii.gz").is_file() else study / "ct"
        patient = patient_of(anatomy)
        opener = partial(_open, row["study"], patient, kind_of(anatomy), ct, study / "truth")
        yield Entry(row["study"], patient, (ct, study / "truth"), opener)


def patient_of(anatomy: str) -> str:
    """Whose anatomy it is: a patient who was painted onto is the same who stands in another set as scanned."""
    return anatomy.removeprefix(ONTO)


def kind_of(anatomy: str) -> Kind:
    """The kind of a simulated study, by its column `anatomy`."""
    if anatomy.startswith("procedural"):
        return "procedural"
    return "hybrid" if anatomy.startswith(ONTO) else "simulated"


def _open(name: str, patient: str, kind: Kind, ct: Path, truth: Path) -> Case:
    return Case(name, patient, kind, read(ct), load_findings(truth))
