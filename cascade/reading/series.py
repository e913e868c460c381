"""Files to series to candidate volumes: grouping, and what is no CT volume at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cascade.core.errors import InputError
from cascade.core.study import Note
from cascade.reading.headers import CT_CLASSES, Header
from cascade.reading.limits import MINIMUM_SLICES
from cascade.reading.stack import SAME_PLACE_MM, Stack, places_of, stack

_LOCALIZERS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW")
_VIEWS = ("MPR", "MIP", "MINIP", "VRT", "3D", "CURVED", "AVERAGE")
_MAPS = ("IODINE", "VNC", "Z_EFF", "PERFUSION", "RCBF", "RCBV")


@dataclass(frozen=True, eq=False)
class Volume:
    """A candidate: images that belong together, and what came of them.

    Attributes:
        headers: The images.
        stack: The volume they make; None where there is none.
        reason: Why it is no candidate (not CT, a localizer ...); empty otherwise.
        error: Why it cannot be read rightly.
    """

    headers: tuple[Header, ...]
    stack: Stack | None = None
    reason: str = ""
    error: InputError | None = None

    @property
    def label(self) -> str:
        """How messages name it: the series' number, or the first file's ordinal; no free text."""
        number = self.headers[0].number
        return f"series {number}" if number is not None else f"the series of file {self.headers[0].ordinal}"


def volumes(headers: Iterable[Header], minimum_slices: int = MINIMUM_SLICES, forgive: bool = False) -> list[Volume]:
    """Every candidate volume of the images, usable or with its reason.

    Args:
        headers: All images found.
        minimum_slices: See `stack`.
        forgive: Try also what the table of hard rejects leaves out: someone asked for it by name.
    """
    series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        series[header.series].append(header)
    found: list[Volume] = []
    for same in series.values():
        error = _mixed(same)
        for group in _alike(same):
            volume = Volume(tuple(group), reason=_reject(group))
            if volume.reason and not forgive:
                found.append(volume)
            elif error is not None:
                found.append(replace(volume, reason="", error=error))
            else:
                found += _stacked(replace(volume, reason=""), minimum_slices)
    return found


def _stacked(volume: Volume, minimum_slices: int) -> list[Volume]:
    try:
        parts = acquisitions(volume.headers, volume.label)
    except InputError as error:
        return [replace(volume, error=error)]
    result: list[Volume] = []
    for part in parts:
        one = replace(volume, headers=tuple(part))
        try:
            made = stack(part, volume.label, minimum_slices)
        except InputError as error:
            result.append(replace(one, error=error))
            continue
        if len(parts) > 1:
            text = f"{volume.label} holds {len(parts)} acquisitions; one was read, they were not mixed"
            made = replace(made, warnings=(Note("W_TWO_ACQUISITIONS", text), *made.warnings))
        result.append(replace(one, stack=made))
    return result


def acquisitions(headers: Sequence[Header], label: str) -> list[list[Header]]:
    """Split images of one series that were taken at different times over the same places.

    Parts that follow one another along z stay together: scanners number rotations too.

    Raises:
        InputError: E_TEMPORAL_SERIES, the same places three times or more, or phases of a moving organ.
    """
    place = places_of(headers)
    repeats = Counter(np.rint(place / SAME_PLACE_MM).astype(int).tolist())
    most = max(repeats.values())
    phases = {h.temporal for h in headers}
    if most >= 3 or (most >= 2 and len(phases) > 1):
        text = f"{label} shows the same places {most} times (perfusion, bolus tracking or gated phases)"
        raise InputError("E_TEMPORAL_SERIES", f"{text}; choose a single phase with --series")
    width = max(len(h.acquisition) for h in headers)
    for index in range(width):
        parts: dict[str, list[tuple[float, Header]]] = defaultdict(list)
        for header, mm in zip(headers, place, strict=True):
            parts[header.acquisition[index] if index < len(header.acquisition) else ""].append((float(mm), header))
        if 2 <= len(parts) <= 4 and _interleaved(list(parts.values())):
            return [[header for _, header in part] for part in parts.values()]
    return [list(headers)]


def _interleaved(parts: list[list[tuple[float, Header]]]) -> bool:
    """Whether each part is a volume of its own and they lie over one another."""
    spans = []
    for part in parts:
        mm = np.sort([place for place, _ in part])
        if len(mm) < MINIMUM_SLICES or np.diff(mm).min() < SAME_PLACE_MM:
            return False
        spans.append((mm[0], mm[-1], float(np.median(np.diff(mm)))))
    spans.sort()
    return all(b[0] < a[1] - a[2] for a, b in pairwise(spans))


def _mixed(headers: Sequence[Header]) -> InputError | None:
    patients, studies = len({h.patient for h in headers}), len({h.study for h in headers})
    if max(patients, studies) < 2:
        return None
    files = sorted(h.ordinal for h in headers)
    other = next(h.ordinal for h in headers if (h.patient, h.study) != (headers[0].patient, headers[0].study))
    text = f"one series holds {patients} patients and {studies} studies (files {files[0]} and {other})"
    return InputError("E_MIXED_PATIENTS", f"{text}; separate the files and give one patient")


def _alike(headers: Sequence[Header]) -> list[list[Header]]:
    """Groups of equal orientation (0.001), size, pixel spacing and kind."""
    groups: dict[tuple[object, ...], list[list[Header]]] = defaultdict(list)
    for header in headers:
        spacing = tuple(round(s, 4) for s in header.spacing or ())
        kind = header.modality, header.sop_class in CT_CLASSES, any(w in header.image_type for w in _LOCALIZERS)
        near = groups[(header.rows, header.columns, spacing, *kind)]
        for group in near:
            if _same_way(group[0], header):
                group.append(header)
                break
        else:
            near.append([header])
    return [group for near in groups.values() for group in near]


def _same_way(a: Header, b: Header) -> bool:
    if a.cosines is None or b.cosines is None:
        return a.cosines is b.cosines
    return max(abs(x - y) for x, y in zip(a.cosines, b.cosines, strict=True)) <= 0.001


def _reject(headers: Sequence[Header]) -> str:
    """Why images are no CT volume, by header alone; empty where they may be one."""
    first = headers[0]
    if first.modality not in ("", "CT"):
        return f"not CT ({first.modality})"
    if first.sop_class and first.sop_class not in CT_CLASSES:
        return "not a CT image (secondary capture or another object)"
    if first.modality == "" and not first.sop_class:
        return "neither modality nor object class says CT"
    kind = first.image_type
    if any(word in kind for word in _LOCALIZERS):
        return "localizer"
    if any("SCREEN SAVE" in value for value in kind) or first.photometric in ("RGB", "PALETTE COLOR", "YBR_FULL"):
        return "screen capture"
    if first.bits[0] == 8 and first.slope is None:
        return "8-bit picture without rescale"
    if "DERIVED" in kind and any(w in value.split() for w in _VIEWS for value in (*kind, first.words)):
        return "derived view"
    if any(word in value for word in _MAPS for value in kind):
        return "dual-energy or perfusion map"
    return ""
