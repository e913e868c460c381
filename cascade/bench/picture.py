"""One picture of an answer: the slice with the most embolus, a close-up, the coronal view, and the slice scores."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.files import write_whole
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.core.windows import PE
from cascade.metrics.lesions import lesions
from cascade.writing.record import column, source_index

ANSWER = "#ff4136"
TRUTH = "#2ecc40"
LUNG = "#7fdbff"
CLOSE_UP_MM = 70.0


def draw(study: Study, findings: Findings, path: Path, truth: Findings | None = None, title: str = "") -> None:
    """Write a PNG, whole or not at all.

    The answer is outlined in red and, where it is known, the truth in green. As in radiology, the patient's right
    is on the left.

    Args:
        study: The evidence.
        findings: The answer.
        path: Of the PNG.
        truth: What is really there.
        title: Above the picture; the decision by default.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    answer = lesions(findings) > 0
    known = None if truth is None else lesions(truth) > 0
    z, y, x = centre(study, findings, answer, known)
    dz, dy, dx = study.grid.spacing
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "bilinear"}

    figure = Figure(figsize=(13, 7.4), facecolor="black", layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplot_mosaic(
        [["slice", "close"], ["slice", "coronal"], ["scores", "scores"]],
        height_ratios=[3, 3, 1.6],
        width_ratios=[1.3, 1],
    )

    axis = places["slice"]
    axis.imshow(PE.to_unit(study.hu[z]), aspect=dy / dx, **grey)
    _outline(axis, answer[z], None if known is None else known[z])
    _boxes(axis, findings, z)
    axis.set_title(f"slice {source_index(study.grid, z)}, z = {study.grid.z_mm[z]:.1f} mm", color="white", fontsize=10)

    half = (round(CLOSE_UP_MM / 2 / dy), round(CLOSE_UP_MM / 2 / dx))
    axis = places["close"]
    axis.imshow(PE.to_unit(study.hu[z]), aspect=dy / dx, **grey)
    _outline(axis, answer[z], None if known is None else known[z])
    axis.set_xlim(x - half[1], x + half[1])
    axis.set_ylim(y + half[0], y - half[0])
    axis.set_title("close-up", color="white", fontsize=10)

    axis = places["coronal"]
    axis.imshow(PE.to_unit(study.hu[:, y]), aspect=dz / dx, origin="lower", **grey)
    _outline(axis, answer[:, y], None if known is None else known[:, y])
    axis.axhline(z, color="white", linewidth=0.5, alpha=0.5)
    axis.set_title("coronal", color="white", fontsize=10)

    for name in ("slice", "close", "coronal"):
        places[name].set_xticks([])
        places[name].set_yticks([])
    _scores(places["scores"], study, findings, known)
    figure.suptitle(title or caption(findings), color="white", fontsize=12)
    figure.supxlabel("red: answer" + ("" if truth is None else "; green: truth"), color="white", fontsize=9)
    write_whole(path, lambda file: figure.savefig(file, dpi=100, format="png", facecolor="black"))


def caption(findings: Findings) -> str:
    """The decision with its probability."""
    exam = findings.exam
    if exam is None:
        return "no decision"
    chance = "" if exam.probability is None else f", probability {exam.probability:.2f}"
    count = len(findings.lesions or ())
    lesions_found = "1 lesion" if count == 1 else f"{count} lesions"
    return f"{exam.decision}{chance}; {lesions_found}. Research only, not a medical device."


def centre(
    study: Study, findings: Findings, answer: NDArray[np.bool_], known: NDArray[np.bool_] | None
) -> tuple[int, int, int]:
    """The voxel to look at: where the answer is largest, else the truth, else amid the most suspicious slice."""
    for mask in (answer, known):
        if mask is not None and mask.any():
            z = int(mask.sum(axis=(1, 2)).argmax())
            rows, columns = np.nonzero(mask[z])
            # The voxel nearest to the middle, which for a bent clot may lie outside of it.
            nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
            return z, int(rows[nearest]), int(columns[nearest])
    shape = study.grid.shape
    z = shape[0] // 2
    if findings.slices is not None:
        score = findings.slices.suspicion
        if np.isfinite(score).any():
            z = int(np.nanargmax(score))
    return z, shape[1] // 2, shape[2] // 2


def _outline(axis: Any, answer: NDArray[np.bool_], known: NDArray[np.bool_] | None) -> None:
    for mask, colour in ((known, TRUTH), (answer, ANSWER)):
        if mask is not None and mask.any():
            axis.contour(mask.astype(float), levels=[0.5], colors=colour, linewidths=1.1)


def _boxes(axis: Any, findings: Findings, z: int) -> None:
    from matplotlib.patches import Rectangle

    if findings.lungs is None:
        return
    for x0, y0, x1, y1 in findings.lungs.boxes[z]:
        if np.isfinite(x0):
            axis.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color=LUNG, linewidth=0.7))


def _scores(axis: Any, study: Study, findings: Findings, known: NDArray[np.bool_] | None) -> None:
    axis.set_facecolor("black")
    axis.tick_params(colors="white", labelsize=8)
    z_mm = study.grid.z_mm
    if known is not None and known.any():
        has = known.any(axis=(1, 2)).astype(float)
        axis.fill_between(z_mm, 0, has, step="mid", color=TRUTH, alpha=0.25, linewidth=0, label="truth")
    if findings.slices is not None:
        lines = {"lung": findings.slices.lung} | {column(name): scores for name, scores in findings.slices.pe.items()}
        for (name, values), colour in zip(lines.items(), itertools.cycle((LUNG, "#ffdc00", ANSWER)), strict=False):
            seen = np.isfinite(values)
            if seen.any():
                axis.plot(z_mm[seen], values[seen], color=colour, linewidth=1, label=name)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("z, mm (feet to head)", color="white", fontsize=8)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=7, ncols=4, frameon=False, labelcolor="white")
