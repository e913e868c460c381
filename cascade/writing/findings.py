"""findings.json and the maps beside it: `save` and `load_findings`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascade.core.errors import InputError, UsageError
from cascade.core.files import to_json, write_bytes
from cascade.core.findings import Field, Findings
from cascade.core.grid import Box
from cascade.core.registry import nearest
from cascade.writing.earlier import FILES_1, FORMAT_1, from_format_1
from cascade.writing.record import FORMAT, MAPS, from_record, grid_of, rounded, to_record
from cascade.writing.tables import lesions_csv, slices_csv
from cascade.writing.volume import read_volume, write_volume

FORMATS = ("json", "csv", "nifti", "probability", "html")
_FILES = {
    "labels": "embolus.nii.gz",
    "embolus": "embolus_probability.nii.gz",
    "arteries": "arteries.nii.gz",
    "std": "std.nii.gz",
}


def save(findings: Findings, out: Path | str, formats: Sequence[str] = ("json", "nifti", "csv")) -> list[str]:
    """Write findings to a folder, each file whole or absent.

    Args:
        findings: Also ground truth.
        out: Made where it does not exist.
        formats: "json" findings.json; "csv" slices.csv and lesions.csv; "nifti" embolus.nii.gz, the lesion
            numbers; "probability" the embolus, artery and disagreement maps as well. With all of "json", "nifti"
            and "probability", `load_findings` gives `rounded(findings)` back. Without "probability", the embolus map is
            read back as 255 in the lesions, which is exact for truth, and the two others are left out.

    Returns:
        Names of the files written.

    Raises:
        UsageError: E_UNKNOWN_FORMAT_NAME.
        OutputError: E_OUTPUT.
    """
    out = Path(out)
    check_formats(formats)
    findings = rounded(findings)
    maps = [
        n for n in MAPS if getattr(findings, n) is not None and ("nifti" if n == "labels" else "probability") in formats
    ]
    written: list[str] = []
    for name in maps:
        field: Field = getattr(findings, name)
        write_volume(out / _FILES[name], _smallest(field.full(findings.grid.shape)), findings.grid)
        written.append(_FILES[name])
    if "nifti" in formats and findings.labels is None:  # nothing found is an answer too
        write_volume(out / _FILES["labels"], np.zeros(findings.grid.shape, np.uint8), findings.grid)
        written.append(_FILES["labels"])
    if "csv" in formats:
        write_bytes(out / "slices.csv", slices_csv(findings))
        write_bytes(out / "lesions.csv", lesions_csv(findings))
        written += ["slices.csv", "lesions.csv"]
    if "json" in formats:
        write_bytes(out / "findings.json", to_json(to_record(findings, maps)))
        written.append("findings.json")
    return written


def load_findings(out: Path | str) -> Findings:
    """Read what `save` wrote, today or in an earlier version: a folder with findings.json and the maps that it names.

    Raises:
        InputError: E_FINDINGS, a file is missing, damaged or of another format.
    """
    out = Path(out)
    try:
        record = json.loads((out / "findings.json").read_text(encoding="utf-8"))
        files = _FILES
        if record["format"] == FORMAT_1:
            record, files = from_format_1(record), _FILES | FILES_1
        elif record["format"] != FORMAT:
            text = f"findings.json has format {record['format']!r}, {FORMAT_1!r} and {FORMAT!r} are read"
            raise InputError("E_FINDINGS", text)
        grid = grid_of(record)
        maps: dict[str, Field] = {}
        for name in MAPS:
            entry = record["maps"][name]
            if entry is not None and entry["stored"]:
                box = Box(**entry["box"])
                full = read_volume(out / files[name], grid, _dtype(entry))
                values = np.ascontiguousarray(full[box.slices])
                if values.shape != box.shape:
                    raise ValueError(f"the box of {name} leaves the grid")
                maps[name] = Field(values, box)
        embolus = record["maps"]["embolus"]
        if embolus is not None and not embolus["stored"] and "labels" in maps:
            box = Box(**embolus["box"])
            lesions = maps["labels"].full(grid.shape)[box.slices] > 0
            maps["embolus"] = Field(lesions.astype(np.uint8) * np.uint8(255), box)
        return from_record(record, maps)
    except OSError as error:
        raise InputError(
            "E_FINDINGS", f"the folder holds no findings.json ({error.strerror}); give one that does"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        text = f"findings.json is damaged ({type(error).__name__}: {error}); write the findings again"
        raise InputError("E_FINDINGS", text) from error


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a name that is no format.

    Raises:
        UsageError: E_UNKNOWN_FORMAT_NAME.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"there is no output format {name!r}; {nearest(name, FORMATS)}", "E_UNKNOWN_FORMAT_NAME")


def _smallest(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.astype(np.uint8) if values.dtype != np.uint8 and not (values > 255).any() else values


def _dtype(entry: dict[str, Any]) -> np.dtype[Any]:
    known: dict[str, np.dtype[Any]] = {"uint8": np.dtype(np.uint8), "uint16": np.dtype(np.uint16)}
    return known[entry["dtype"]]
