"""Everything that `cascade run` leaves in a folder, DONE last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cascade.core.files import to_json, write_bytes, write_done
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.writing.formats import USUAL, Output, check_formats, write
from cascade.writing.machine import machine
from cascade.writing.record import rounded


def save_run(
    study: Study, findings: Findings, run: Mapping[str, Any], out: Path | str, formats: Sequence[str] = USUAL
) -> list[str]:
    """Write findings, report, run.json and, last, DONE.

    An earlier DONE in the folder is taken away first: what stands without one is not an answer.

    Args:
        study: What was read.
        findings: What was found.
        run: Timings, device, runtime: what differs between two runs of the same study. Versions, machine and
            memory are added.
        out: The folder.
        formats: Names of `FORMATS`; findings.json and run.json are always written.

    Returns:
        Names of the files written, without DONE.

    Raises:
        UsageError: E_UNKNOWN_FORMAT_NAME.
        OutputError: E_OUTPUT.
    """
    out = Path(out)
    check_formats(formats)
    (out / "DONE").unlink(missing_ok=True)
    names = write(Output(out, rounded(findings), frozenset(formats) | {"json"}, study))
    write_bytes(out / "run.json", to_json({**machine(), **run}))
    names.append("run.json")
    write_done(out, names)
    return names
