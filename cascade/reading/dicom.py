"""A DICOM folder or file to a study: files, headers, choice of series and why, geometry, HU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError, UsageError
from cascade.core.grid import Grid
from cascade.core.study import Note, Study
from cascade.reading.files import files_in
from cascade.reading.headers import Header, Unread, read_headers
from cascade.reading.hounsfield_check import oblique, refuse_inverted, without_offset
from cascade.reading.limits import MINIMUM_SLICES
from cascade.reading.pixels import decode, open_pixels, to_hu
from cascade.reading.series import volumes
from cascade.reading.series_ranking import Candidate, rank
from cascade.reading.stack import Stack

# Scores closer than this are settled by looking at the pixels.
CLOSE_POINTS = 10.0


def read_dicom(path: Path, series: int | str | None = None, minimum_slices: int = MINIMUM_SLICES) -> Study:
    """Read one series of a folder, or one file.

    Raises:
        InputError: Nothing can be read rightly; the code says what is wrong.
        UsageError: E_NO_SUCH_SERIES.
    """
    table, unread = _table(path, series, minimum_slices)
    if not table or not table[0].usable:
        raise _refusal(table, unread)
    remarks = _of_one_patient(table)
    best = table[0]
    if best.volume.stack is None:  # the sort puts usable ones first
        raise _refusal(table, unread)
    hu, grid, notes = _volume(best.volume.stack, best.volume.label)
    first = best.volume.stack.headers[0]
    facts: dict[str, Any] = {**first.facts, "format": "DICOM"}
    facts["series"] = {"number": first.number, "why_chosen": best.why}
    facts["candidates"] = [{"series": row.number, "slices": row.slices, "reason": row.reason} for row in table]
    sops = tuple(h.sop for h in best.volume.stack.headers)
    whole = len(set(sops)) == len(sops) and "" not in sops and first.frame is None
    if not any(note.code == "W_OBLIQUE" for note in best.volume.stack.warnings):
        notes += oblique(grid, best.volume.label)
    notes += [*remarks, *_damaged(unread)]
    return Study(hu, grid, facts, sops if whole else (), (*best.volume.stack.warnings, *notes))


def _of_one_patient(table: Sequence[Candidate]) -> list[Note]:
    """A remark where the volumes to choose from are of several examinations.

    Raises:
        InputError: E_MIXED_PATIENTS, they are of several patients: an answer for one would be taken for another's.
    """
    first = [row.volume.headers[0] for row in table if row.usable]
    # Series of one patient may write the name in several ways: where there is an id, it decides.
    persons = [h.patient[:1] if h.patient and h.patient[0] else h.patient for h in first]
    patients, studies = set(persons), {h.study for h in first}
    if len(patients) > 1:
        other = next(h for h, person in zip(first, persons, strict=True) if person != persons[0])
        text = f"the folder holds CT of {len(patients)} patients (files {first[0].ordinal} and {other.ordinal})"
        raise InputError("E_MIXED_PATIENTS", f"{text}; give the folder of one, or a series' UID with --series")
    if len(studies) > 1:
        text = f"the folder holds CT of {len(studies)} examinations, and one of them was read"
        return [Note("W_SEVERAL_STUDIES", f"{text}; give the folder of one if it is not the one you mean")]
    return []


def _damaged(unread: Sequence[Unread]) -> list[Note]:
    """A remark on files that may have been slices: at an end of the series nobody would miss them."""
    lost = [one for one in unread if one.damaged]
    if not lost:
        return []
    text = f"damaged files were left out: {len(lost)}, the first is file {lost[0].ordinal} ({lost[0].reason})"
    return [Note("W_DAMAGED_FILES", f"{text}; if they are slices at an end of the series, copy or export it again")]


def candidates_in(path: Path, minimum_slices: int = MINIMUM_SLICES) -> list[Candidate]:
    """The candidate table of a folder or file, the chosen one first."""
    return _table(path, None, minimum_slices)[0]


def _table(path: Path, series: int | str | None, minimum_slices: int) -> tuple[list[Candidate], list[Unread]]:
    paths = files_in(path) if path.is_dir() else [path]
    answers = [read_headers(p, ordinal) for ordinal, p in enumerate(paths, 1)]
    unread = [a for a in answers if isinstance(a, Unread)]
    headers = [h for a in answers if not isinstance(a, Unread) for h in a]
    if series is not None:
        headers = _asked_for(headers, series)
    table = rank(volumes(headers, minimum_slices, forgive=series is not None))
    return _choose(table, series is not None), unread


def _asked_for(headers: Sequence[Header], series: int | str) -> list[Header]:
    name = str(series)
    chosen = [h for h in headers if name in (h.series, str(h.number)) or name.lower() == h.description.lower() != ""]
    if not chosen:
        numbers = sorted({h.number for h in headers if h.number is not None})
        known = ", ".join(map(str, numbers)) or "none with a number"
        raise UsageError(f"there is no series {name!r} in this folder; its series: {known}", "E_NO_SUCH_SERIES")
    return chosen


def _choose(table: list[Candidate], asked: bool) -> list[Candidate]:
    usable = [row for row in table if row.usable]
    if not usable:
        return table
    close = [row for row in usable if usable[0].score - row.score < CLOSE_POINTS]
    best, why = usable[0], "the only CT volume"
    if asked:
        why = "asked for"
    elif len(close) > 1:
        bright = {id(row): _enhancement(row) for row in close}
        best = max(close, key=lambda row: round(bright[id(row)] / 10))
        why = f"{best.score:.0f} of 100 points; {len(close)} were close, it is the brightest or first of them"
    elif len(usable) > 1:
        why = f"{best.score:.0f} of 100 points, the next has {usable[1].score:.0f}"
    return [replace(best, chosen=True, why=why), *(row for row in table if row is not best)]


def _enhancement(row: Candidate) -> float:
    """How bright the middle of a volume is: 90th percentile of soft tissue in its central 100 mm, HU."""
    stack = row.volume.stack
    if stack is None:
        return -np.inf
    _, rows, columns = stack.shape
    half = [max(int(50 / s), 1) for s in np.linalg.norm(stack.affine[:3, 1:3], axis=0)]
    box = (
        slice(max(rows // 2 - half[0], 0), rows // 2 + half[0]),
        slice(max(columns // 2 - half[1], 0), columns // 2 + half[1]),
    )
    values: list[NDArray[np.int16]] = []
    for share in (0.4, 0.5, 0.6):
        header = stack.headers[int(share * (len(stack.headers) - 1))]
        try:
            plane = to_hu(header, decode(header, open_pixels(header)))[box]
        except InputError:
            return -np.inf
        values.append(plane[(plane > -50) & (plane < 600)])
    joined = np.concatenate(values)
    return float(np.percentile(joined, 90)) if joined.size else -np.inf


def _volume(stack: Stack, label: str) -> tuple[NDArray[np.int16], Grid, list[Note]]:
    """Decode slice by slice straight into our order: the volume is held once."""
    grid = Grid.from_source(stack.shape, stack.affine)
    try:
        hu = np.empty(grid.shape, dtype=np.int16)
    except MemoryError as error:
        text = f"{label} needs {np.prod(grid.shape) * 2 / 1e9:.1f} GB of memory; give a smaller series"
        raise InputError("E_MEMORY", text) from error
    source = grid.order.undo(hu)
    opened: tuple[Path, Any] | None = None
    for index, header in enumerate(stack.headers):
        if opened is None or opened[0] != header.path:
            opened = (header.path, open_pixels(header))
        source[index] = to_hu(header, decode(header, opened[1]))
    stated = all(h.slope is not None and h.intercept is not None for h in stack.headers)
    hu, notes = without_offset(hu, label, rescaled=stated)
    if any(h.photometric == "MONOCHROME1" for h in stack.headers):
        refuse_inverted(hu, label)
    return hu, grid, notes


def _refusal(table: Sequence[Candidate], unread: Sequence[Unread]) -> InputError:
    """The sentence for a folder that gives no study."""
    refused = [row for row in table if row.volume.error is not None]
    if refused:
        most = max(refused, key=lambda row: row.slices)
        if most.volume.error is not None:
            return most.volume.error
    broken = [u.error for u in unread if u.error is not None]
    if broken:
        return broken[0]
    found = Counter(row.reason for row in table)
    found.update(f"files: {u.reason}" for u in unread)
    what = "; ".join(f"{count} x {reason}" for reason, count in sorted(found.items())) or "no file at all"
    return InputError("E_NO_CT_SERIES", f"no CT volume was found ({what}); give the folder of a CT series")
