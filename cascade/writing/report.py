"""report.html: one file, offline, without scripts. Every text is escaped; no patient's data is in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray

from cascade.core.files import write_bytes
from cascade.core.findings import Findings, Lesion
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.writing.formats import Output
from cascade.writing.picture import around, overlay, png, square
from cascade.writing.plot import lines, score_strip
from cascade.writing.record import source_index

MOST_PICTURES = 6
CLOSE_UP_MM = 60.0


@dataclass(frozen=True)
class KeySlice:
    """A slice that is shown.

    Attributes:
        whole: The slice, PNG in base64.
        alt: What it is, for those who do not see it.
        caption: What it shows, and where.
        close_up: The same around the lesion; None where there is none.
    """

    whole: str
    alt: str
    caption: str
    close_up: str | None = None


def write_report(output: Output) -> list[str]:
    """Write report.html."""
    if output.study is None:
        raise ValueError("a report shows a study")
    write_bytes(output.folder / "report.html", report(output.study, output.findings))
    return ["report.html"]


def report(study: Study, findings: Findings) -> bytes:
    """The page: answer and why, key slices, scores along the body, lesions, quality, warnings, source."""
    exam = findings.exam
    page = _template().render(
        exam=exam,
        contributions=[(c.input, f"{c.value:.3f}", f"{c.effect:+.3f}") for c in (exam.contributions if exam else ())],
        warnings=findings.warnings,
        pictures=list(_pictures(study, findings)),
        # The plot is ours, of numbers alone.
        strip=None if findings.slices is None else Markup(score_strip(findings)),
        marks=[(line.colour, line.label) for line in lines(findings)],
        lesions=None if findings.lesions is None else [_lesion_row(findings, one) for one in findings.lesions],
        quality=_quality(findings),
        source=_source(study, findings),
        candidates=[(c.get("series"), c.get("slices"), c.get("reason")) for c in study.facts.get("candidates") or ()],
    )
    return page.encode()


@cache
def _template() -> Template:
    text = (files("cascade.writing") / "report.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True).from_string(text)


def _pictures(study: Study, findings: Findings) -> Iterator[KeySlice]:
    for z, box, caption in key_slices(findings):
        place = f"z = {study.grid.z_mm[z]:.1f} mm, slice {source_index(findings.grid, z)} of the source"
        whole = _base64(square(overlay(study, findings, z), study.grid.spacing))
        close_up = None
        if box is not None:
            near = around(box, findings.grid.shape, study.grid.spacing, CLOSE_UP_MM)
            plain = overlay(study, findings, z, boxes=False)[near.y0 : near.y1, near.x0 : near.x1]
            close_up = _base64(square(plain, study.grid.spacing, 3.0))
        yield KeySlice(whole, f"slice at {study.grid.z_mm[z]:.1f} mm", f"{caption}; {place}", close_up)


def key_slices(findings: Findings) -> list[tuple[int, Box | None, str]]:
    """Slices to show: each lesion's largest one, most probable first; else those with the highest scores.

    Returns:
        Slice index, the box of the lesion on it, and what it is.
    """
    shown: list[tuple[int, Box | None, str]] = []
    labels = findings.labels
    for lesion in findings.lesions or ():
        if len(shown) == MOST_PICTURES:
            break
        if labels is None:
            continue
        hit = labels.values == lesion.number
        box = Box.around(hit)
        if box is None:
            continue
        z = int(hit.sum(axis=(1, 2)).argmax())
        flat = Box.around(hit[z : z + 1]) or box
        corner = labels.box
        first, last = (
            (corner.z0 + z, corner.y0 + flat.y0, corner.x0 + flat.x0),
            (corner.y0 + flat.y1, corner.x0 + flat.x1),
        )
        place = Box(first[0], first[0] + 1, first[1], last[0], first[2], last[1])
        shown.append((place.z0, place, _name(lesion)))
    return shown or [(z, None, why) for z, why in _highest(findings)]


def _highest(findings: Findings) -> list[tuple[int, str]]:
    """Up to three slices without lesions: the highest scores, at least 10 mm apart; else the middle."""
    count, z_mm = findings.grid.shape[0], findings.grid.z_mm
    scores = np.full(count, np.nan)
    if findings.slices is not None:
        scores = findings.slices.suspicion.astype(np.float64)
    chosen: list[tuple[int, str]] = []
    for z in np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable"):
        if np.isnan(scores[z]) or len(chosen) == 3:
            break
        if all(abs(z_mm[z] - z_mm[other]) >= 10 for other, _ in chosen):
            chosen.append((int(z), f"no lesion; slice score {scores[z]:.3f}"))
    return chosen or [(count // 2, "middle slice; nothing was scored")]


def _name(lesion: Lesion) -> str:
    place = f", {lesion.place}" if lesion.place else ""
    size = f"{lesion.volume_mm3:.0f} mm3, probability {lesion.probability:.3f}"
    return f"lesion {lesion.number}: {lesion.side}{place}, {size}"


def _lesion_row(findings: Findings, lesion: Lesion) -> tuple[str, ...]:
    first, last = sorted(source_index(findings.grid, z) for z in lesion.slices)
    return (
        str(lesion.number),
        lesion.side,
        lesion.place or "",
        f"{lesion.volume_mm3:.0f}",
        *(f"{p:.3f}" for p in (lesion.probability, lesion.probability_max, lesion.probability_mean)),
        ", ".join(f"{c:.1f}" for c in lesion.centroid_mm),
        f"{first}-{last}",
        "" if lesion.disagreement is None else f"{lesion.disagreement:.3f}",
    )


def _quality(findings: Findings) -> dict[str, str | None] | None:
    quality = findings.quality
    if quality is None:
        return None
    return {
        "lungs found": None if quality.chest is None else "yes" if quality.chest else "no",
        "lung volume": None if quality.lung_ml is None else f"{quality.lung_ml:.0f} ml",
        "contrast": None
        if quality.contrast_hu is None
        else f"{quality.contrast_hu:.0f} HU ({quality.contrast_source})",
        "coverage of the lungs": None if quality.cut is None else f"{100 * (1 - quality.cut):.0f} %",
        "noise": None if quality.noise_hu is None else f"{quality.noise_hu:.0f} HU",
    }


def _source(study: Study, findings: Findings) -> dict[str, Any]:
    series = study.facts.get("series") or {}
    facts = {k.replace("_", " "): v for k, v in study.facts.items() if k not in ("series", "candidates")}
    bundle = findings.provenance.get("bundle") or {}
    spacing = " x ".join(f"{s:.2f}" for s in study.grid.spacing)
    return {
        "study": study.id,
        "series": None if series.get("number") is None else f"number {series['number']}",
        "why this one": series.get("why_chosen"),
        "slices": f"{study.grid.shape[0]} of {study.grid.shape[1]} x {study.grid.shape[2]}",
        "spacing z, y, x": f"{spacing} mm",
        **facts,
        "weights": " ".join(str(v) for v in bundle.values()) if isinstance(bundle, Mapping) else None,
        "version": findings.provenance.get("version"),
    }


def _base64(picture: NDArray[np.uint8]) -> str:
    return base64.b64encode(png(picture)).decode()
