"""Tables of a data set: csv or tsv, columns by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cascade.core.errors import InputError
from cascade.core.registry import nearest


def rows(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The rows of a table that must have some columns, in any order, with others beside them.

    Raises:
        InputError: E_TABLE, it is missing, empty or cut off; E_COLUMNS, a column is missing.
    """
    if not path.is_file():
        raise InputError("E_TABLE", f"the table {path.name} is missing in {path.parent.name}; put it there")
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter="\t" if "\t" in head and "," not in head else ",")
        found = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = found
        missing = [name for name in columns if name not in found]
        if missing:
            text = f"{path.name} has no column {missing[0]!r}; {nearest(missing[0], found or ['none at all'])}"
            raise InputError("E_COLUMNS", f"{text}; its columns must be named {', '.join(columns)}")
        for number, row in enumerate(reader, 2):
            if any(row[name] is None for name in columns):
                raise InputError("E_TABLE", f"line {number} of {path.name} ends early; copy the table again")
            yield row


def answer(text: str) -> float | None:
    """A label as 1 or 0; None where it is empty or says neither, such as "Censored"."""
    word = text.strip().lower()
    if word in ("1", "1.0", "true", "yes"):
        return 1.0
    return 0.0 if word in ("0", "0.0", "false", "no") else None


def number(text: str, table: str) -> float:
    """A cell as a number.

    Raises:
        InputError: E_TABLE, it is none.
    """
    try:
        return float(text)
    except ValueError as error:
        raise InputError("E_TABLE", f"{table} has {text!r} where a number must stand; copy the table again") from error
