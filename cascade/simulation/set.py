"""A set of simulated studies on disk: a folder a study, and index.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cascade.core.findings import Findings
    from cascade.core.study import Study
    from cascade.simulation import Simulated

COLUMNS = (
    "study", "anatomy", "split", "seed", "emboli", "volume_mm3", "contrast_hu", "slice_mm", "noise_hu", "kernel",
)  # fmt: skip


def keep(folder: Path, form: str, split: str, seed: int, made: Simulated) -> dict[str, Any]:
    """Write a simulated study into a set, and return its row of the index."""
    name = f"seed-{seed:05d}"
    write_study(folder / name, form, made.study, made.truth, made.facts, made.labels)
    return row(name, split, made.study, made.truth, made.facts)


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
    from cascade.core.files import to_json, write_bytes
    from cascade.writing import save, write_dicom, write_nifti
    from cascade.writing.volume import write_volume

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
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
