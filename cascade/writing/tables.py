"""slices.csv and lesions.csv: one row a slice, one row a lesion. Empty is unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cascade.core.files import write_bytes
from cascade.core.findings import Findings
from cascade.writing.formats import Output
from cascade.writing.record import slice_rows, source_index

LESIONS = (
    "study",
    "lesion",
    "side",
    "place",
    "volume_mm3",
    "probability_max",
    "probability_mean",
    "x_mm",
    "y_mm",
    "z_mm",
    "slice_first",
    "slice_last",
    "disagreement",
    "probability",
)


def write_tables(output: Output) -> list[str]:
    """Write slices.csv and lesions.csv."""
    write_bytes(output.folder / "slices.csv", slices_csv(output.findings))
    write_bytes(output.folder / "lesions.csv", lesions_csv(output.findings))
    return ["slices.csv", "lesions.csv"]


def slices_csv(findings: Findings) -> bytes:
    """The slices, feet to head; a column for each stage that scores slices."""
    rows = [{"study": study_id(findings), **row} for row in slice_rows(findings)]
    return _table(tuple(rows[0]), rows)


def lesions_csv(findings: Findings) -> bytes:
    """The lesions, most probable first; slices are counted in the order of the source."""
    study, rows = study_id(findings), []
    for lesion in findings.lesions or ():
        first, last = sorted(source_index(findings.grid, z) for z in lesion.slices)
        x, y, z = lesion.centroid_mm
        rows.append(
            {
                "study": study,
                "lesion": lesion.number,
                "side": lesion.side,
                "place": lesion.place,
                "volume_mm3": lesion.volume_mm3,
                "probability_max": lesion.probability_max,
                "probability_mean": lesion.probability_mean,
                "x_mm": x,
                "y_mm": y,
                "z_mm": z,
                "slice_first": first,
                "slice_last": last,
                "disagreement": lesion.disagreement,
                "probability": lesion.probability,
            }
        )
    return _table(LESIONS, rows)


def study_id(findings: Findings) -> str:
    """The study's id, where the provenance holds it."""
    return str(findings.provenance.get("study") or "")


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    # A spreadsheet would run a text that begins like a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return value
