"""Tables of results: on a terminal, as CSV and as JSON, from the same rows."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cascade.core.files import write_bytes

Row = Mapping[str, Any]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows to stdout; the first row's keys are the columns."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    console = Console()
    # A pipe has no width: cells are then kept whole instead of being folded at 80 columns.
    console.width = console.width if console.is_terminal else max(console.width, 200)
    with contextlib.suppress(SystemExit):  # how rich ends where nobody reads on; the results are still to be kept
        console.print(table)


def cell(value: Any) -> str:
    """A value as a person reads it: three decimals, `-` for what is not known."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write(folder: Path, name: str, rows: Sequence[Row], more: Mapping[str, Any]) -> None:
    """Write `NAME.csv` (the rows) and `NAME.json` (rows and `more`) into a folder, each whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(folder / f"{name}.csv", text.getvalue().encode())
    write_bytes(folder / f"{name}.json", (json.dumps({**more, "rows": list(rows)}, indent=2) + "\n").encode())
