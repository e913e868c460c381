"""A set of simulated studies on disk: a folder a study, and index.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cascade.findings import Findings
    from cascade.study import Study

COLUMNS = (
    "study", "anatomy", "split", "seed", "emboli", "volume_mm3", "contrast_hu", "slice_mm", "noise_hu", "kernel",
)  # fmt: skip


@dataclass
class SetWriter:
    """Writes studies with their truth into a folder, and keeps its index.

    Attributes:
        folder: Of the set; a study goes to a folder of its name.
        format: "dicom" for `ct/*.dcm`, "nifti" for `ct.nii.gz`.
        split: The split that all studies belong to.
    """

    folder: Path
    format: str
    split: str = ""
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        name: str,
        study: Study,
        truth: Findings,
        facts: Mapping[str, Any],
        labels: NDArray[np.uint8] | None = None,
    ) -> None:
        """Write one study, and the index anew.

        Args:
            name: Of its folder.
            study: The CT.
            truth: What is true of it.
            facts: For exam.json; "seed" and "anatomy" are needed, "contrast" and "scanner" are used for the index.
            labels: Anatomy `[z, y, x]`, numbers of `cascade.phantom.LABELS`.
        """
        write_study(self.folder / name, self.format, study, truth, facts, labels)
        scanner = facts.get("scanner", {})
        # Each procedural anatomy is a person of its own, and persons are what a split keeps apart.
        anatomy = f"procedural-{facts['seed']}" if facts["anatomy"] == "procedural" else facts["anatomy"]
        lesions = truth.lesions or ()
        self._rows.append(
            {
                "study": name,
                "anatomy": anatomy,
                "split": self.split,
                "seed": facts["seed"],
                "emboli": len(lesions),
                "volume_mm3": round(sum(lesion.volume_mm3 for lesion in lesions), 1),
                "contrast_hu": facts.get("contrast", {}).get("artery", ""),
                "slice_mm": round(study.grid.spacing[0], 4),
                "noise_hu": scanner.get("noise_hu", ""),
                "kernel": scanner.get("kernel", ""),
            }
        )
        with (self.folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


def write_study(
    folder: Path,
    format: str,  # noqa: A002  # the option's own name
    study: Study,
    truth: Findings,
    facts: Mapping[str, Any],
    labels: NDArray[np.uint8] | None = None,
) -> None:
    """Write `ct`, `truth/findings.json` with its maps, `truth/exam.json`, and `truth/anatomy.nii.gz` where known."""
    from cascade.writing import save, write_dicom, write_nifti
    from cascade.writing.files import to_json, write_bytes
    from cascade.writing.volume import write_volume

    if format == "dicom":
        write_dicom(study, folder / "ct")
    else:
        write_nifti(study, folder / "ct.nii.gz")
    save(truth, folder / "truth", ("json", "nifti", "probability"))
    write_bytes(folder / "truth" / "exam.json", to_json(dict(facts)))
    if labels is not None:
        write_volume(folder / "truth" / "anatomy.nii.gz", labels, study.grid)
