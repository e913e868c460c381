"""The output formats. To add one: a module with its function, a line in `FORMATS`, a test.

Nothing heavy is imported here: the command line reads the list before it knows what it has to do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cascade.core.errors import UsageError
from cascade.core.registry import nearest

if TYPE_CHECKING:
    from cascade.core.findings import Findings
    from cascade.core.study import Study


@dataclass(frozen=True)
class Format:
    """An output format.

    Attributes:
        files: What it writes, for people.
        function: `"module:function"`; it takes an `Output`, writes, and returns the names of the files that it wrote.
        usual: Whether `cascade run` writes it where nobody says otherwise.
        of_study: Whether it shows the study, which must be given then.
    """

    files: str
    function: str
    usual: bool = False
    of_study: bool = False


FORMATS: Mapping[str, Format] = {
    "nifti": Format("embolus.nii.gz: the lesions' numbers", "cascade.writing.maps:write_lesions", usual=True),
    "probability": Format("embolus_probability.nii.gz, arteries.nii.gz, std.nii.gz", "cascade.writing.maps:write_maps"),
    "csv": Format("slices.csv, lesions.csv", "cascade.writing.tables:write_tables", usual=True),
    "json": Format("findings.json: everything", "cascade.writing.findings:write_json", usual=True),
    "html": Format(
        "report.html: pictures and reasons", "cascade.writing.report:write_report", usual=True, of_study=True
    ),
}
"""By name, in the order in which they are written: findings.json says which maps lie beside it."""

USUAL = tuple(name for name, one in FORMATS.items() if one.usual)
"""What `cascade run` writes where nobody says otherwise."""


@dataclass(frozen=True, eq=False)
class Output:
    """What there is to write, and where.

    Attributes:
        folder: Made where it does not exist.
        findings: As files hold them (`rounded`).
        formats: The names of all that are written.
        study: None where findings are written without it.
    """

    folder: Path
    findings: Findings
    formats: frozenset[str]
    study: Study | None = None


def check_formats(names: Iterable[str], with_study: bool = True) -> None:
    """Refuse a name that is no format, and a format that shows a study where there is none.

    Raises:
        UsageError: E_UNKNOWN_FORMAT_NAME, E_NO_STUDY; E_USAGE, the names are no list.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UsageError(f"output formats are a list of names, got {names!r}; write ['json', 'nifti'], such as that")
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"there is no output format {name!r}; {nearest(name, FORMATS)}", "E_UNKNOWN_FORMAT_NAME")
        if FORMATS[name].of_study and not with_study:
            raise UsageError(f"the format {name!r} shows the study; write it with `save_run`", "E_NO_STUDY")


def write(output: Output) -> list[str]:
    """Write all formats of an output, each file whole or absent.

    Returns:
        Names of the files written.

    Raises:
        OutputError: E_OUTPUT.
    """
    written: list[str] = []
    for name, one in FORMATS.items():
        if name in output.formats:
            module, function = one.function.split(":")
            written += getattr(importlib.import_module(module), function)(output)
    return written
