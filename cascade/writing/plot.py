"""The slice scores as an inline SVG: what each stage said along the body, and where embolus was found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.writing.record import column, slice_rows

_WIDTH, _HEIGHT = 920, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 34
_COLOURS = ("--cool", "--hot", "--calm", "--doubt")


class Line(NamedTuple):
    """A line of the plot: its column, what the legend calls it, and its colour as a variable of the page's style."""

    column: str
    label: str
    colour: str


def lines(findings: Findings) -> list[Line]:
    """Lung, then the stages that score slices, in their order."""
    stages = findings.slices.pe if findings.slices is not None else ()
    scores = [
        Line(column(stage), f"PE, {stage.replace('_', ' ')}", colour)
        for stage, colour in zip(stages, itertools.cycle(_COLOURS), strict=False)
    ]
    return [Line("lung", "lung", "--soft"), *scores]


def score_strip(findings: Findings) -> str:
    """Lines of 0..1 over the position in mm, feet on the left; bars are the embolus volume of a slice."""
    rows = slice_rows(findings)
    z = np.array([row["z_mm"] for row in rows])
    span = max(float(z[-1] - z[0]), 1.0)
    x = _LEFT + (z - z[0]) / span * (_WIDTH - _LEFT - _RIGHT)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="slice scores from feet to head">',
        *_axes(z, x),
        *_bars([row["embolus_mm3"] for row in rows], x),
    ]
    for name, _, colour in lines(findings):
        values = np.array([np.nan if row[name] is None else row[name] for row in rows])
        style = f"stroke: var({colour})" + ("; stroke-dasharray: 4 3" if name == "lung" else "")
        parts += [f'<polyline style="{style}" points="{points}"/>' for points in _runs(x, _y(values))]
    return "\n".join([*parts, "</svg>"])


def _y(share: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(_HEIGHT - _BOTTOM - np.asarray(share) * (_HEIGHT - _TOP - _BOTTOM), dtype=np.float64)


def _axes(z: NDArray[np.float64], x: NDArray[np.float64]) -> list[str]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = float(_y(share))
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>')
    for i in np.unique(np.linspace(0, len(z) - 1, 7).round().astype(int)):
        anchor = "end" if i == len(z) - 1 else "middle"
        parts.append(f'<text x="{x[i]:.1f}" y="{_HEIGHT - 18}" text-anchor="{anchor}">{z[i]:.0f}</text>')
    middle = (_LEFT + _WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">mm, feet to head</text>')
    return parts


def _bars(volumes: Sequence[float | None], x: NDArray[np.float64]) -> list[str]:
    most = max((v for v in volumes if v), default=0.0)
    width = max(float(np.median(np.diff(x))) if len(x) > 1 else 8.0, 1.0)
    parts = []
    for volume, centre in zip(volumes, x, strict=True):
        if volume:
            y = float(_y(volume / most))
            height = float(_y(0.0)) - y
            place = f'x="{centre - width / 2:.1f}" y="{y:.1f}"'
            parts.append(f'<rect class="embolus" {place} width="{width:.1f}" height="{height:.1f}"/>')
    return parts


def _runs(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[str]:
    """Points of each stretch without unknown slices."""
    known = np.flatnonzero(~np.isnan(y))
    stretches = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if known.size else []
    return [" ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in stretch) for stretch in stretches]
