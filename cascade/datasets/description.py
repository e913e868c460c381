"""`dataset.yaml`: what cannot be guessed about a data set - its layout, its options, which of its patients.

The file lies in the data set's folder, or anywhere else with `folder` in it: then the file stands for the set, and two
of them can part one folder by patients. For example:

    layout: cadpe
    folder: ../CAD-PE
    options: {split: train}
    without: [e0032]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cascade.core.config import from_json
from cascade.core.errors import UsageError

NAME = "dataset.yaml"


@dataclass(frozen=True)
class Description:
    """What `dataset.yaml` says.

    Attributes:
        layout: A name of `LAYOUTS`; found by looking where it is not given.
        folder: Of the data, from where the file lies.
        patients: Patterns (`PAT0*`) of the patients to take; all by default.
        without: Patterns of patients to leave out.
        options: Of the layout, by name.
    """

    layout: str | None = None
    folder: str = "."
    patients: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, patient: str) -> bool:
        """Whether a patient belongs to the set."""
        wanted = any(fnmatchcase(patient, pattern) for pattern in self.patients)
        return wanted and not any(fnmatchcase(patient, pattern) for pattern in self.without)


def describe(path: Path) -> tuple[Path, Description]:
    """The folder of a data set, named by itself or by a YAML file, and what is said of it.

    Raises:
        UsageError: E_DATASET, the file cannot be understood; the sentence names the key.
    """
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        return path, Description()
    import yaml

    try:
        description = from_json(Description, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file.parent.name}/{file.name}: {' '.join(str(error).split())}", "E_DATASET") from error
    folder = (file.parent / description.folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"{file.name} names the folder {description.folder!r}, which is not there", "E_DATASET")
    return folder, description
