"""Whether slices make a volume, and where it lies: positions along the slice normal, never tags about spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.study import Note
from cascade.reading.headers import Header
from cascade.reading.limits import (
    FEW_SLICES,
    MAX_SLICES,
    MAX_VOXELS,
    MINIMUM_FIELD_MM,
    MINIMUM_HEIGHT_MM,
    MINIMUM_SLICES,
    OBLIQUE_DEGREES,
    SMALL_FIELD_MM,
    check,
)
from cascade.reading.pixels import codec, digest

# Positions closer than this are one place: exporters round to 0.001 mm and worse.
SAME_PLACE_MM = 0.01
# Unit length and right angle of the cosines.
COSINE_TOLERANCE = 0.01
# Between the line of positions and the slice normal: 0.5 mm sideways in 300 mm.
TILT_DEGREES = 0.1


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices that make one volume.

    Attributes:
        headers: Feet to head.
        affine: float64 `[4, 4]` from `(slice, row, column, 1)` to LPS mm.
        warnings: What had to be remarked.
    """

    headers: tuple[Header, ...]
    affine: NDArray[np.float64]
    warnings: tuple[Note, ...] = ()

    @property
    def spacing_mm(self) -> float:
        """Distance of neighbouring slices."""
        return float(np.linalg.norm(self.affine[:3, 0]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return len(self.headers), self.headers[0].rows, self.headers[0].columns


def axes_of(header: Header) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors in LPS: the slice normal, towards rising rows, towards rising columns.

    The normal points to the head, or for coronal and sagittal slices to the back or the left.

    Raises:
        InputError: E_NO_GEOMETRY.
    """
    where = f"file {header.ordinal} has no usable"
    if header.cosines is None:
        raise InputError(
            "E_NO_GEOMETRY", f"{where} ImageOrientationPatient; its place cannot be known, export it again"
        )
    right, down = np.array(header.cosines[:3]), np.array(header.cosines[3:])
    lengths = np.linalg.norm(right), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > COSINE_TOLERANCE or abs(right @ down) > COSINE_TOLERANCE:
        raise InputError("E_NO_GEOMETRY", f"{where} ImageOrientationPatient: not two unit vectors at a right angle")
    right = right / lengths[0]
    down = down - (down @ right) * right
    down = down / np.linalg.norm(down)
    normal = np.cross(right, down)
    return normal if normal[np.argmax(np.abs(normal))] > 0 else -normal, down, right


def places_of(headers: Sequence[Header]) -> NDArray[np.float64]:
    """Position of each slice along the normal, mm.

    Raises:
        InputError: E_NO_GEOMETRY.
    """
    normal, _, _ = axes_of(headers[0])
    lost = next((h for h in headers if h.position is None), None)
    if lost is not None:
        text = f"file {lost.ordinal} has no usable ImagePositionPatient; its place cannot be known, export it again"
        raise InputError("E_NO_GEOMETRY", text)
    return np.array([h.position for h in headers], dtype=np.float64) @ normal


def stack(headers: Sequence[Header], label: str, minimum_slices: int = MINIMUM_SLICES) -> Stack:
    """Put the slices of one acquisition in order, and say where the volume lies.

    Args:
        headers: Of one orientation and in-plane size, in any order.
        label: How a message names them, such as "series 4".
        minimum_slices: Fewer are refused; below 4 the limits in mm are lifted too.

    Raises:
        InputError: The slices make no volume; the code says why.
    """
    _usable(headers, label)
    normal, down, right = axes_of(headers[0])
    notes: list[Note] = []
    place = places_of(headers)
    ordered = [
        headers[i] for i in sorted(range(len(headers)), key=lambda i: (place[i], headers[i].sop, headers[i].ordinal))
    ]
    ordered, repeated = _without_duplicates(ordered, label)
    if repeated:
        notes.append(Note("W_DUPLICATE_SLICES", f"{repeated} slices of {label} were stored twice with equal pixels"))
    check("slices", len(ordered), MAX_SLICES)
    check("voxels", len(ordered) * ordered[0].rows * ordered[0].columns, MAX_VOXELS)
    place = places_of(ordered)
    positions = np.array([h.position for h in ordered], dtype=np.float64)
    _even(place, label)
    if len(ordered) > 1:
        step = (positions[-1] - positions[0]) / (len(ordered) - 1)
        _straight(positions, normal, label)
        step = normal * float(step @ normal)
    else:
        step = normal * float(ordered[0].facts.get("thickness_mm") or 1.0)
    row_mm, column_mm = ordered[0].spacing or (0.0, 0.0)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, down * row_mm, right * column_mm
    affine[:3, 3] = positions[0]
    result = Stack(tuple(ordered), affine)
    if minimum_slices >= MINIMUM_SLICES or len(ordered) < minimum_slices:
        _large_enough(result, label, minimum_slices)
    return replace(result, warnings=(*notes, *_remarks(result, normal, label)))


def _usable(headers: Sequence[Header], label: str) -> None:
    for header in headers:
        if header.extent != "whole":
            text = f"file {header.ordinal} of {label} ends before its pixel data does; copy or export it again"
            raise InputError("E_TRUNCATED", text)
        if header.samples != 1 or header.bits[0] not in (8, 16):
            what = f"{header.samples} samples of {header.bits[0]} bits"
            text = f"file {header.ordinal} of {label} stores {what} a pixel; CT has one of 8 or 16 bits"
            raise InputError("E_PIXEL_FORMAT", text)
    for syntax in sorted({h.syntax for h in headers}):
        codec(syntax)
    spacing = headers[0].spacing
    if spacing is None or not all(0 < s <= 5 for s in spacing):
        text = f"{label} has PixelSpacing {spacing or 'missing'}, expected two numbers in 0..5 mm; export it again"
        raise InputError("E_NO_GEOMETRY", text)


def _without_duplicates(ordered: list[Header], label: str) -> tuple[list[Header], int]:
    place = places_of(ordered)
    kept: list[Header] = [ordered[0]]
    kept_mm = float(place[0])
    for header, mm in zip(ordered[1:], place[1:], strict=True):
        if mm - kept_mm >= SAME_PLACE_MM:
            kept.append(header)
            kept_mm = float(mm)
        elif digest(header) != digest(kept[-1]):
            text = f"{label} has two different slices at {mm:.1f} mm (files {kept[-1].ordinal} and {header.ordinal})"
            raise InputError("E_CONFLICTING_SLICES", f"{text}; give one acquisition alone")
    return kept, len(ordered) - len(kept)


def _even(place: NDArray[np.float64], label: str) -> None:
    """Refuse gaps and changing spacing, with their places in mm."""
    steps = np.diff(place)
    if not len(steps):
        return
    median = float(np.median(steps))
    tolerance = max(0.1, 0.02 * median)
    bad = np.flatnonzero(np.abs(steps - median) > tolerance)
    if not len(bad):
        return
    multiples = np.maximum(np.rint(steps / median), 1)
    near = bool(np.all(np.abs(steps - multiples * median) <= tolerance * multiples))
    # Gaps are exceptions in a series; where many steps or three neighbours are long, its spacing changes.
    if near and len(bad) * 4 <= len(steps) and not np.any(bad[2:] - bad[:-2] == 2):
        missing = int((multiples - 1).sum())
        where = f"{place[bad[0]]:.1f} and {place[bad[-1] + 1]:.1f} mm (spacing {median:.2f} mm)"
        text = f"{label} lacks {missing} slices between z = {where}; export it again, or choose another with --series"
        raise InputError("E_MISSING_SLICES", text)
    worst = int(bad[np.argmax(np.abs(steps[bad] - median))])
    where = f"{steps[worst]:.2f} mm at z = {place[worst]:.1f} mm where its median is {median:.2f} mm"
    text = f"the slices of {label} lie unevenly: {where}; export one evenly spaced reconstruction"
    raise InputError("E_VARYING_SPACING", text)


def _straight(positions: NDArray[np.float64], normal: NDArray[np.float64], label: str) -> None:
    """Refuse a tilted gantry, and slices that do not lie on one line."""
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    line = positions[0] + np.arange(len(positions))[:, None] * step
    off = positions - line
    off -= (off @ normal)[:, None] * normal
    if float(np.abs(off).max()) > 0.5:
        text = (
            f"the slices of {label} do not lie on one line ({np.abs(off).max():.1f} mm off); export one reconstruction"
        )
        raise InputError("E_NO_GEOMETRY", text)
    cosine = min(float(step @ normal) / float(np.linalg.norm(step)), 1.0)
    tilt = float(np.degrees(np.arccos(cosine)))
    across = step - (step @ normal) * normal
    sideways = float(np.linalg.norm(across)) * (len(positions) - 1)
    if tilt > TILT_DEGREES and sideways > 0.1:
        text = (
            f"{label} was scanned with a gantry tilted by {tilt:.1f} degrees, which is not read; choose an untilted one"
        )
        raise InputError("E_GANTRY_TILT", text)


def _large_enough(volume: Stack, label: str, minimum_slices: int) -> None:
    slices, rows, columns = volume.shape
    _, row_mm, column_mm = np.linalg.norm(volume.affine[:3, :3], axis=0)
    field, height = min(rows * row_mm, columns * column_mm), slices * volume.spacing_mm
    if slices < minimum_slices or field < MINIMUM_FIELD_MM or height < MINIMUM_HEIGHT_MM:
        what = f"{slices} slices, {height:.0f} mm high, {field:.0f} mm wide"
        least = f"{minimum_slices} slices, {MINIMUM_HEIGHT_MM:.0f} and {MINIMUM_FIELD_MM:.0f} mm"
        raise InputError("E_TOO_SMALL", f"{label} has {what}; at least {least} are needed, give the whole series")


def _remarks(volume: Stack, normal: NDArray[np.float64], label: str) -> list[Note]:
    headers = volume.headers
    notes: list[Note] = []
    slices, rows, columns = volume.shape
    angle = float(np.degrees(np.arccos(min(abs(float(normal[2])), 1.0))))
    if angle > OBLIQUE_DEGREES:
        notes.append(Note("W_OBLIQUE", f"the slices of {label} are turned by {angle:.0f} degrees from axial"))
    if any(h.lossy for h in headers):
        notes.append(Note("W_LOSSY", f"the pixels of {label} were compressed with loss; HU are not exact"))
    if any(h.photometric == "MONOCHROME1" for h in headers):
        notes.append(Note("W_MONOCHROME1", f"{label} is stored for inverted display; its HU were read as they are"))
    field = min(rows * np.linalg.norm(volume.affine[:3, 1]), columns * np.linalg.norm(volume.affine[:3, 2]))
    if field < SMALL_FIELD_MM:
        notes.append(Note("W_SMALL_FOV", f"{label} is {field:.0f} mm wide: less than a chest"))
    if slices < FEW_SLICES:
        notes.append(Note("W_FEW_SLICES", f"{label} has {slices} slices, a decision needs {FEW_SLICES}"))
    uids = {h.sop for h in headers}
    if len(uids) < slices or "" in uids or not headers[0].study or headers[0].series.startswith("folder "):
        text = f"UIDs of {label} are missing or repeated: DICOM results cannot refer to it, the other outputs are whole"
        notes.append(Note("W_MISSING_UID", text))
    return notes
