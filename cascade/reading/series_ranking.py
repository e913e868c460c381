"""How well a volume suits the question "is there an embolus?": points by header, and the choice of one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cascade.reading.limits import OBLIQUE_DEGREES
from cascade.reading.series import Volume
from cascade.reading.stack import Stack

# Weights are a start, to be fitted on studies at hand.
_ARTERIAL = re.compile(r"\b(CTPA|PE|PULM\w*|LUNGENEMBOLIE|EMBOL\w*|ANGIO\w*|CTA|ART|ARTERIAL)\b", re.ASCII)
_OTHER = re.compile(r"\b(NATIVE?|NATIV|WITHOUT|W/O|LOW DOSE|SCREENING|VENOUS|DELAY\w*)\b", re.ASCII)
_SOFT = re.compile(r"^(B|BR|BV|QR|BF)[23-4]\d|^(STANDARD|STND|SOFT|CHST|SA)$|^[ABC]$|^FC(0[1-9]|1[0-8])$")
_SHARP = re.compile(r"^(B|BR|BL)[5-9]\d|^(BONE\w*|LUNG|EDGE|Y[A-D]|L|D)$|^FC5\d")

Points = dict[str, float]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One row of the candidate table.

    Attributes:
        volume: The images.
        points: By criterion; empty where the volume cannot be used.
        chosen: Whether it is the one that `read` reads.
        why: Of the choice.
    """

    volume: Volume
    points: Points = field(default_factory=dict)
    chosen: bool = False
    why: str = ""

    @property
    def number(self) -> int | None:
        """Series number."""
        return self.volume.headers[0].number

    @property
    def slices(self) -> int:
        """Count of images."""
        return len(self.volume.headers if self.volume.stack is None else self.volume.stack.headers)

    @property
    def spacing_mm(self) -> float | None:
        """Distance of slices, where they make a volume."""
        return None if self.volume.stack is None else round(self.volume.stack.spacing_mm, 4)

    @property
    def score(self) -> float:
        """Sum of the points, 0..100."""
        return float(sum(self.points.values()))

    @property
    def usable(self) -> bool:
        """Whether it can be read."""
        return self.volume.stack is not None

    @property
    def reason(self) -> str:
        """Why it was chosen, passed over, rejected or refused: one phrase, without free text of the file."""
        if self.why:
            return self.why
        if self.volume.error is not None:
            return str(self.volume.error)
        return self.volume.reason or f"{self.score:.0f} of 100 points"

    @cached_property
    def rank(self) -> tuple[float, float, int, int, str]:
        """Sorts the best first, in a total order that no order of files can change."""
        uid = hashlib.sha256(self.volume.headers[0].series.encode()).hexdigest()
        number = self.number if self.number is not None else 1 << 31
        return -self.score, self.spacing_mm or 0.0, -self.slices, number, uid


def points_of(stack: Stack) -> Points:
    """Points of a volume by criterion, from headers alone."""
    headers = stack.headers
    first = headers[0]
    normal = stack.affine[:3, 0] / np.linalg.norm(stack.affine[:3, 0])
    angle = float(np.degrees(np.arccos(min(abs(float(normal[2])), 1.0))))
    height = len(headers) * stack.spacing_mm
    primary = "PRIMARY" in first.image_type and "ORIGINAL" in first.image_type
    return {
        "orientation": 25.0 if angle <= OBLIQUE_DEGREES else 5.0,
        "spacing": _spacing(stack.spacing_mm),
        "contrast": _contrast(bool(first.facts.get("contrast_agent")), first.words),
        "kernel": _kernel(str(first.facts.get("kernel") or "")),
        "height": 10.0 if 200 <= height <= 450 else 5.0 if height >= 120 else 2.0,
        "slices": 5.0 if 100 <= len(headers) <= 1200 else 0.0,
        "original": 5.0 if primary and not stack.warnings else 0.0,
    }


def _spacing(mm: float) -> float:
    return float(np.interp(mm, [0.5, 0.6, 1.5, 3.0, 5.0, 5.001], [15, 20, 20, 10, 1, 0]))


def _contrast(agent: bool, words: str) -> float:
    words = words.replace("_", " ")
    points = 20.0 if agent or _ARTERIAL.search(words) else 0.0
    return points - 15.0 if _OTHER.search(words) else points


def _kernel(name: str) -> float:
    name = name.upper().strip()
    return 15.0 if _SOFT.match(name) else 0.0 if _SHARP.match(name) else 5.0


def rank(found: Sequence[Volume]) -> list[Candidate]:
    """The candidate table: usable volumes best first, then refused, then rejected ones."""
    rows = [Candidate(v, {} if v.stack is None else points_of(v.stack)) for v in found]
    return sorted(rows, key=lambda row: (not row.usable, bool(row.volume.reason), row.rank))
