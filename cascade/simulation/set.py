"""A set of simulated studies on disk: a folder a study, and index.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.files import names_in, to_json, write_bytes
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.simulation.config import Simulation
from cascade.simulation.simulate import Simulated
from cascade.simulation.truth import rows_of
from cascade.writing import save, write_dicom, write_nifti
from cascade.writing.volume import write_volume

INDEX = "index.csv"
PACKED = ".case"
"""Ends the name of a study that is one packed case."""
COLUMNS = (
    "study", "anatomy", "split", "seed", "emboli", "volume_mm3", "contrast_hu", "slice_mm", "noise_hu", "kernel",
)  # fmt: skip


def keep(folder: Path, form: str, split: str, seed: int, made: Simulated) -> dict[str, Any]:
    """Write a simulated study into a set, and return its row of the index."""
    name = name_of(seed)
    write_study(folder / name, form, made.study, made.truth, made.facts, made.labels)
    return row(name, split, made.study, made.truth, made.facts)


def keep_painted(
    folder: Path, form: str, split: str, seed: int, patient: str, config: Simulation, painted: tuple[Study, Findings]
) -> dict[str, Any]:
    """Write a real study that emboli were painted into, and return its row of the index.

    Args:
        folder: Of the set.
        form: As of `write_study`.
        split: Which the study belongs to.
        seed: Of the emboli.
        patient: Whose study it is.
        config: What the emboli were made by.
        painted: The study with its emboli, and its truth.
    """
    study, truth = painted
    facts = facts_of_painted(seed, patient, config, truth)
    name = name_of(seed)
    write_study(folder / name, form, study, truth, facts)
    return row(name, split, study, truth, facts)


def facts_of_painted(seed: int, patient: str, config: Simulation, truth: Findings) -> dict[str, Any]:
    """What exam.json holds of a real study that emboli were painted into; arguments as of `keep_painted`."""
    return {
        "seed": seed,
        "anatomy": f"onto-{patient}",
        "config": config.digest(),
        "lesions": rows_of(truth.lesions or ()),
    }


def write_study(
    folder: Path,
    form: str,
    study: Study,
    truth: Findings,
    facts: Mapping[str, Any],
    labels: NDArray[np.uint8] | None = None,
) -> None:
    """Write `ct`, `truth/findings.json` with its maps, `truth/exam.json`, and `truth/anatomy.nii.gz` where known.

    Args:
        folder: Of the study.
        form: "dicom" for `ct/*.dcm`, "nifti" for `ct.nii.gz`.
        study: The CT.
        truth: What is true of it.
        facts: For exam.json.
        labels: Anatomy `[z, y, x]`, numbers of `cascade.simulation.LABELS`.
    """
    if form == "dicom":
        write_dicom(study, folder / "ct")
    else:
        write_nifti(study, folder / "ct.nii.gz")
    save(truth, folder / "truth", ("json", "nifti", "probability"))
    write_bytes(folder / "truth" / "exam.json", to_json(dict(facts)))
    if labels is not None:
        write_volume(folder / "truth" / "anatomy.nii.gz", labels, study.grid)


def row(name: str, split: str, study: Study, truth: Findings, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A study's row of the index; "seed" and "anatomy" must be among the facts."""
    scanner = facts.get("scanner", {})
    lesions = truth.lesions or ()
    # Each procedural anatomy is a person of its own, and persons are what a split keeps apart.
    anatomy = f"procedural-{facts['seed']}" if facts["anatomy"] == "procedural" else facts["anatomy"]
    values = (
        name,
        anatomy,
        split,
        facts["seed"],
        len(lesions),
        round(sum(lesion.volume_mm3 for lesion in lesions), 1),
        facts.get("contrast", {}).get("artery", ""),
        round(study.grid.spacing[0], 4),
        scanner.get("noise_hu", ""),
        scanner.get("kernel", ""),
    )
    return dict(zip(COLUMNS, values, strict=True))


def write_index(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write index.csv."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(folder / INDEX, text.getvalue().encode())


def is_set(folder: Path) -> bool:
    """Whether a folder holds a set that was written here, and nothing else."""
    try:
        with (folder / INDEX).open(newline="", encoding="utf-8") as file:
            studies = {row["study"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return False
    return (
        bool(studies)
        and all(re.fullmatch(r"seed-\d+", str(name)) for name in studies)
        and (
            names_in(folder) == {*(f"{name}{PACKED}" for name in studies), INDEX}
            or (
                names_in(folder) == {*studies, INDEX}
                and all({"truth"} < names_in(folder / name) <= {"truth", "ct", "ct.nii.gz"} for name in studies)
            )
        )
    )


def name_of(seed: int) -> str:
    """What a study is called in its set."""
    return f"seed-{seed:05d}"
