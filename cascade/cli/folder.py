"""Which folders hold an earlier demo and nothing else, so that a new one may take its place."""

from __future__ import annotations

from pathlib import Path

from cascade.core.files import names_in
from cascade.core.folder import earlier_run

PICTURE = "demo.png"


def earlier_demo(out: Path) -> bool:
    """Whether a folder holds what `cascade demo` wrote, and nothing else."""
    names = names_in(out)
    return (
        {PICTURE, "results"} <= names <= {PICTURE, "results", "study"}
        and earlier_run(out / "results")
        and ("study" not in names or names_in(out / "study") <= {"ct", "truth"})
    )
