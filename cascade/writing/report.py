"""report.html: one file, offline, without scripts. Every text is escaped; no patient's data is in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from cascade.core.findings import Findings, Lesion
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.writing.picture import around, overlay, png, square
from cascade.writing.plot import lines, score_strip
from cascade.writing.record import source_index

MOST_PICTURES = 6
CLOSE_UP_MM = 60.0


def report(study: Study, findings: Findings) -> bytes:
    """The page: answer and why, key slices, scores along the body, lesions, quality, warnings, source."""
    sections = [
        _answer(findings),
        _warnings(findings),
        _pictures(study, findings),
        _scores(findings),
        _lesions(findings),
        _quality(findings),
        _source(study, findings),
    ]
    template = Template((files("cascade.writing") / "report.html").read_text(encoding="utf-8"))
    return template.substitute(sections="\n".join(s for s in sections if s)).encode()


def _answer(findings: Findings) -> str:
    exam = findings.exam
    if exam is None:
        return _section("Answer", "<p>No stage has answered for the patient.</p>")
    probability = "no probability" if exam.probability is None else f"probability {exam.probability:.3f}"
    point = f"operating point: {escape(exam.operating_point)}" if exam.operating_point else ""
    head = (
        f'<div class="answer"><span class="decision {escape(exam.decision)}">{escape(exam.decision)}</span>'
        f'<span class="probability">{probability}</span><span class="research">{point}</span></div>'
    )
    rows = [(escape(c.input), f"{c.value:.3f}", f"{c.effect:+.3f}") for c in exam.contributions]
    table = _table(("what it rests on", "value", "effect on the log-odds"), rows, numbers=(1, 2)) if rows else ""
    return _section("Answer", f"{head}<p>{escape(exam.reason)}</p>{table}")


def _warnings(findings: Findings) -> str:
    rows = [(f"<code>{escape(n.code)}</code>", escape(n.text)) for n in findings.warnings]
    return _section("Warnings", _table(("code", "what"), rows)) if rows else ""


def _pictures(study: Study, findings: Findings) -> str:
    parts = []
    for z, box, caption in key_slices(findings):
        picture = overlay(study, findings, z)
        whole = _img(square(picture, study.grid.spacing), f"slice at {study.grid.z_mm[z]:.1f} mm")
        where = f"z = {study.grid.z_mm[z]:.1f} mm, slice {source_index(findings.grid, z)} of the source"
        inner = whole
        if box is not None:
            near = around(box, findings.grid.shape, study.grid.spacing, CLOSE_UP_MM)
            plain = overlay(study, findings, z, boxes=False)[near.y0 : near.y1, near.x0 : near.x1]
            inner = f'<div class="pair">{whole}{_img(square(plain, study.grid.spacing, 3.0), "close-up")}</div>'
        parts.append(f"<figure>{inner}<figcaption>{escape(caption)}; {where}</figcaption></figure>")
    return _section("Key slices, PE window (level 100, width 700 HU)", f'<div class="keys">{"".join(parts)}</div>')


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


def _scores(findings: Findings) -> str:
    if findings.slices is None:
        return ""
    marks = "".join(
        f'<span><i style="background: var({line.colour})"></i>{escape(line.label)}</span>' for line in lines(findings)
    )
    bars = '<span><i style="background: var(--hot); opacity: .28; height: 10px"></i>embolus volume</span>'
    return _section("Slices", f'{score_strip(findings)}<p class="legend research">{marks}{bars}</p>')


def _lesions(findings: Findings) -> str:
    if findings.lesions is None:
        return ""
    if not findings.lesions:
        return _section("Lesions", "<p>None found.</p>")
    head = ("", "side", "place", "mm3", "probability", "max", "mean", "x, y, z mm (LPS)", "slices", "disagreement")
    rows = []
    for v in findings.lesions:
        first, last = sorted(source_index(findings.grid, z) for z in v.slices)
        spot = ", ".join(f"{c:.1f}" for c in v.centroid_mm)
        numbers = (f"{p:.3f}" for p in (v.probability, v.probability_max, v.probability_mean))
        unsure = "" if v.disagreement is None else f"{v.disagreement:.3f}"
        rows.append(
            (
                str(v.number),
                v.side,
                escape(v.place or ""),
                f"{v.volume_mm3:.0f}",
                *numbers,
                spot,
                f"{first}-{last}",
                unsure,
            )
        )
    return _section("Lesions", _table(head, rows, numbers=(3, 4, 5, 6, 9)))


def _quality(findings: Findings) -> str:
    quality = findings.quality
    if quality is None:
        return ""
    contrast = None if quality.contrast_hu is None else f"{quality.contrast_hu:.0f} HU ({quality.contrast_source})"
    return _section(
        "Quality",
        _list(
            {
                "lungs found": {True: "yes", False: "no"}.get(quality.chest) if quality.chest is not None else None,
                "lung volume": None if quality.lung_ml is None else f"{quality.lung_ml:.0f} ml",
                "contrast": contrast,
                "coverage of the lungs": None if quality.cut is None else f"{100 * (1 - quality.cut):.0f} %",
                "noise": None if quality.noise_hu is None else f"{quality.noise_hu:.0f} HU",
            }
        ),
    )


def _source(study: Study, findings: Findings) -> str:
    series = study.facts.get("series") or {}
    facts = {k.replace("_", " "): v for k, v in study.facts.items() if k not in ("series", "candidates")}
    bundle = findings.provenance.get("bundle") or {}
    spacing = " x ".join(f"{s:.2f}" for s in study.grid.spacing)
    rows = {
        "study": study.id,
        "series": None if series.get("number") is None else f"number {series['number']}",
        "why this one": series.get("why_chosen"),
        "slices": f"{study.grid.shape[0]} of {study.grid.shape[1]} x {study.grid.shape[2]}",
        "spacing z, y, x": f"{spacing} mm",
        **facts,
        "weights": " ".join(str(v) for v in bundle.values()) if isinstance(bundle, Mapping) else None,
        "version": findings.provenance.get("version"),
    }
    table = ""
    candidates: Sequence[Mapping[str, Any]] = study.facts.get("candidates") or ()
    if len(candidates) > 1:
        cells = [(escape(str(c.get("series"))), str(c.get("slices")), escape(str(c.get("reason")))) for c in candidates]
        table = "<h2>Series found</h2>" + _table(("series", "slices", "reason"), cells)
    return _section("Source", _list(rows) + table)


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{title}</h2>{inner}</section>"


def _list(rows: Mapping[str, Any]) -> str:
    pairs = (f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows.items() if v is not None and v != "")
    return f"<dl>{''.join(pairs)}</dl>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already."""

    def row(cells: Sequence[str], tag: str) -> str:
        made = (f"<{tag}{' class=n' if i in numbers else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))
        return f"<tr>{''.join(made)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"


def _img(picture: np.ndarray[Any, np.dtype[np.uint8]], alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png(picture)).decode()}">'
