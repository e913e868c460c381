"""Studies that `cascade simulate` wrote: `index.csv`, and for each study `ct` and `truth/`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from cascade.findings import Findings
from cascade.reading import read
from cascade.training.case import Case, Kind

ONTO = "onto-"
"""Begins the anatomy of a real study that was painted onto; the patient's name follows."""


def fits(folder: Path) -> bool:
    """Whether the folder has an index of simulated studies."""
    return (folder / "index.csv").is_file()


def cases(folder: Path) -> Iterator[Case]:
    """In the order of the index."""
    with (folder / "index.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            study = folder / row["study"]
            ct = study / "ct.nii.gz" if (study / "ct.nii.gz").is_file() else study / "ct"
            anatomy = row["anatomy"]
            kind: Kind = "hybrid" if anatomy.startswith(ONTO) else "simulated"
            if anatomy.startswith("procedural"):
                kind = "procedural"
            yield Case(
                name=row["study"],
                # A patient who was painted onto is the same who stands in another set as scanned.
                patient=anatomy.removeprefix(ONTO),
                kind=kind,
                study=read(ct),
                truth=Findings.read(study / "truth"),
            )
