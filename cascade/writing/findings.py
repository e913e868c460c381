"""findings.json and what lies beside it: `save` and `load_findings`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cascade.core.errors import InputError, UsageError
from cascade.core.files import to_json, write_bytes
from cascade.core.findings import Findings
from cascade.core.folder import as_path
from cascade.writing.earlier import FILES_1, FORMAT_1, from_format_1
from cascade.writing.formats import Output, check_formats, write
from cascade.writing.maps import FILES, load_maps, stored
from cascade.writing.record import FORMAT, from_record, grid_of, rounded, to_record
from cascade.writing.sound import refuse_other_lesions, refuse_unsound_record

FILE = "findings.json"


def save(findings: Findings, out: Path | str, formats: Sequence[str] = ("json", "nifti", "csv")) -> list[str]:
    """Write findings to a folder, each file whole or absent.

    Args:
        findings: Also ground truth.
        out: Made where it does not exist.
        formats: Names of `FORMATS` that need no study. With all of "json", "nifti" and "probability", `load_findings`
            gives `rounded(findings)` back. Without "probability", the embolus map is read back as 255 in the lesions,
            which is exact for truth, and the two others are left out.

    Returns:
        Names of the files written.

    Raises:
        UsageError: E_UNKNOWN_FORMAT_NAME, E_NO_STUDY; E_USAGE, these are no findings or no path.
        OutputError: E_OUTPUT.
    """
    check_formats(formats, with_study=False)
    if not isinstance(findings, Findings):
        raise UsageError(f"findings are saved, got {type(findings).__name__}; a cascade's answer is one, as is a truth")
    return write(Output(as_path(out, "a folder for findings"), rounded(findings), frozenset(formats)))


def write_json(output: Output) -> list[str]:
    """Write findings.json."""
    maps = stored(output.findings, output.formats)
    write_bytes(output.folder / FILE, to_json(to_record(output.findings, maps)))
    return [FILE]


def load_findings(out: Path | str) -> Findings:
    """Read what `save` wrote, today or in an earlier version: a folder with findings.json and the maps that it names.

    Raises:
        InputError: E_FINDINGS, a file is missing, damaged or of another format.
    """
    out = as_path(out, "a folder of findings")
    try:
        record = json.loads((out / FILE).read_text(encoding="utf-8"))
        files = FILES
        if record["format"] == FORMAT_1:
            record, files = from_format_1(record), FILES | FILES_1
        elif record["format"] != FORMAT:
            text = f"findings.json has format {record['format']!r}, {FORMAT_1!r} and {FORMAT!r} are read"
            raise InputError("E_FINDINGS", text)
        grid = grid_of(record)
        refuse_unsound_record(record, grid)
        findings = from_record(record, load_maps(out, files, record["maps"], grid))
        refuse_other_lesions(findings, files["labels"])
        return findings
    except OSError as error:
        raise InputError(
            "E_FINDINGS", f"the folder holds no findings.json ({error.strerror}); give one that does"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        text = f"findings.json is damaged ({type(error).__name__}: {error}); write the findings again"
        raise InputError("E_FINDINGS", text) from error
