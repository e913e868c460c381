"""Which folders hold earlier results of a command and nothing else, so that new ones may take their place."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from cascade.core.folder import earlier_run, names_in

PICTURE = "demo.png"
INDEX = "index.csv"


def earlier_demo(out: Path) -> bool:
    """Whether a folder holds what `cascade demo` wrote, and nothing else."""
    names = names_in(out)
    return (
        {PICTURE, "results"} <= names <= {PICTURE, "results", "study"}
        and earlier_run(out / "results")
        and ("study" not in names or names_in(out / "study") <= {"ct", "truth"})
    )


def earlier_set(out: Path) -> bool:
    """Whether a folder holds what `cascade simulate` wrote, and nothing else."""
    try:
        with (out / INDEX).open(newline="", encoding="utf-8") as file:
            studies = {row["study"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return False
    return (
        bool(studies)
        and all(re.fullmatch(r"seed-\d+", str(name)) for name in studies)
        and names_in(out) == {*studies, INDEX}
        and all({"truth"} < names_in(out / name) <= {"truth", "ct", "ct.nii.gz"} for name in studies)
    )
