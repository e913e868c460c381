"""Gates: whether a study can be judged at all, measured on the study and on what the stages found.

A gate that abstains says its code and its figures; lungs and whatever else was found stay in the findings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import reference_of
from cascade.anatomy.morphology import largest
from cascade.core.findings import Findings, LungReference, Quality
from cascade.core.grid import Box
from cascade.core.study import Note, Study


@dataclass(frozen=True)
class Gates:
    """Thresholds of the gates.

    Attributes:
        lung_ml: Less lung is no chest.
        lung_slices: Fewer consecutive slices with lung are no chest.
        contrast_hu: Vessels darker than this hold no contrast agent.
        cut_warn: Share of the lungs' height that may be missing without a word.
        cut_abstain: Share from which on the exam is not judged.
        thick_warn_mm: Slices farther apart are remarked.
        thick_abstain_mm: Slices farther apart are not judged.
        slices: Fewer are not judged.
        noise_hu: Noisier studies are remarked.
    """

    lung_ml: float = 500.0
    lung_slices: int = 5
    contrast_hu: float = 120.0
    cut_warn: float = 0.25
    cut_abstain: float = 0.50
    thick_warn_mm: float = 3.0
    thick_abstain_mm: float = 5.0
    slices: int = 20
    noise_hu: float = 60.0


@dataclass(frozen=True)
class Verdict:
    """What the gates say.

    Attributes:
        quality: The figures.
        warnings: Everything that was remarked, the abstaining gates included.
        abstain: The notes of the gates that abstain; empty where the study can be judged.
    """

    quality: Quality
    warnings: tuple[Note, ...]
    abstain: tuple[Note, ...]


def judge(study: Study, findings: Findings, gates: Gates | None = None) -> Verdict:
    """Measure a study and pass it through the gates."""
    gates = gates or Gates()
    lungs = reference_of(study, findings)
    quality = measure(study, findings, lungs, gates)
    warn: list[Note] = []
    stop: list[Note] = []
    if not quality.chest:
        stop.append(Note("W_NOT_CHEST", _not_chest(quality, findings, lungs, gates)))
    if quality.chest and quality.contrast_hu is not None and quality.contrast_hu < gates.contrast_hu:
        text = f"no contrast agent: {quality.contrast_hu:.0f} HU in the {quality.contrast_source}"
        stop.append(_note("W_NO_CONTRAST", text, gates.contrast_hu, "HU"))
    if quality.chest and quality.cut is not None and quality.cut > gates.cut_warn:
        text = f"about {100 * quality.cut:.0f} % of the lungs' height lie outside the study"
        over = quality.cut > gates.cut_abstain
        (stop if over else warn).append(
            _note("W_COVERAGE", text, 100 * (gates.cut_abstain if over else gates.cut_warn), "%", "at most")
        )
    apart = study.grid.spacing[0]
    if apart > gates.thick_warn_mm + 0.05:
        over = apart > gates.thick_abstain_mm + 0.05
        limit = gates.thick_abstain_mm if over else gates.thick_warn_mm
        (stop if over else warn).append(_note("W_THICK", f"slices lie {apart:.1f} mm apart", limit, "mm", "at most"))
    if study.grid.shape[0] < gates.slices:
        stop.append(_note("W_FEW_SLICES", f"the study has {study.grid.shape[0]} slices", gates.slices, "slices"))
    if quality.noise_hu is not None and quality.noise_hu > gates.noise_hu:
        warn.append(
            _note("W_NOISE", f"noise in soft tissue is {quality.noise_hu:.0f} HU", gates.noise_hu, "HU", "at most")
        )
    return Verdict(quality, tuple(stop + warn), tuple(stop))


def _not_chest(quality: Quality, findings: Findings, lungs: LungReference, gates: Gates) -> str:
    """What is missing of a chest, and only that: volume, slices in a row, or the networks' word for it."""
    if quality.lung_ml is not None and quality.lung_ml < gates.lung_ml:
        return f"no lungs to judge: {quality.lung_ml:.0f} ml of lung were found (at least {gates.lung_ml:g} ml needed)"
    dark, agreed = longest_run(_shown(lungs.boxes)), longest_run(shows_lung(findings, lungs))
    text = f"no lungs to judge: {quality.lung_ml:.0f} ml are as dark as lung, on up to {dark} slices in a row"
    if dark >= gates.lung_slices:
        text += f", but the networks take at most {agreed} of them in a row for lung"
    return f"{text} (at least {gates.lung_slices} slices needed)"


def measure(study: Study, findings: Findings, lungs: LungReference, gates: Gates) -> Quality:
    """Measure what the gates judge by: lungs, contrast, coverage and noise."""
    lung_ml = lungs.right_ml + lungs.left_ml
    chest = lung_ml >= gates.lung_ml and longest_run(shows_lung(findings, lungs)) >= gates.lung_slices
    contrast, source = _contrast(study, findings, lungs)
    return Quality(
        chest=bool(chest),
        lung_ml=_rounded(lung_ml),
        contrast_hu=_rounded(contrast),
        contrast_source=source,
        cut=_rounded(cut(lungs, study.grid.spacing[0]) if chest else None),
        noise_hu=_rounded(noise(study)),
    )


def shows_lung(findings: Findings, lungs: LungReference) -> NDArray[np.bool_]:
    """Slices `[z]` on which the threshold sees a lung and neither the detector nor the filter denies it."""
    seen = _shown(lungs.boxes)
    if findings.lungs is not None:
        region = findings.lungs.region
        seen = seen & _shown(findings.lungs.boxes) if region is not None else np.zeros_like(seen)
    if findings.slices is not None and np.isfinite(findings.slices.lung).any():
        seen = seen & ~(findings.slices.lung < 0.5)
    return seen


def _shown(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Slices on which at least one lung has a box."""
    return np.asarray(np.any(np.all(np.isfinite(boxes), axis=2), axis=1))


def longest_run(seen: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    best = now = 0
    for hit in seen:
        now = now + 1 if hit else 0
        best = max(best, now)
    return best


def _contrast(study: Study, findings: Findings, lungs: LungReference) -> tuple[float | None, str | None]:
    value = artery_hu(study, findings)
    if value is not None:
        return value, "arteries"
    value = mediastinal_hu(study, lungs)
    return value, None if value is None else "mediastinum"


def artery_hu(study: Study, findings: Findings, core_mm: float = 2.0, least_ml: float = 1.0) -> float | None:
    """Median HU of the core of the largest artery, clots left out; None where fewer than `least_ml` are left.

    The core lies `core_mm` inside, so that walls and small branches, whose HU is partly lung, don't count; the median
    bears a vena cava full of contrast that the network took along.
    """
    field = findings.arteries
    if field is None:
        return None
    inside = field.values >= 128
    if findings.embolus is not None and findings.embolus.box == field.box:
        inside = inside & (findings.embolus.values < 64)
    spacing = study.grid.spacing
    ry, rx = (max(round(core_mm / s), 1) for s in spacing[1:])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rx + 1, 2 * ry + 1))
    core = np.stack([cv2.erode(plane.astype(np.uint8), kernel) for plane in inside])
    box = Box.around(core)
    if box is None:
        return None
    artery = largest(core[box.slices] > 0)
    if np.count_nonzero(artery) * study.grid.voxel_mm3 < 1000 * least_ml:
        return None
    return float(np.median(study.hu[field.box.slices][box.slices][artery]))


def mediastinal_hu(study: Study, lungs: LungReference) -> float | None:
    """HU of the brightest soft tissue between the lungs that is no bone; None where no slice shows both.

    Between means between the lungs' middles and in their front half: the spine stays outside. The picture is
    smoothed over 5 mm first, so that noise is not taken for brightness. Of what is left the brightest 4 % may be
    sternum, calcium or metal, so the next 2 % speak: on chests without contrast agent they lie at 78 to 97 HU (the
    brightest 2 % at 177 to 291), on those with it, the weakest included, at 152 and more.
    """
    both = np.flatnonzero(np.isfinite(lungs.boxes).all(axis=(1, 2)))
    spacing = study.grid.spacing
    k = [max(round(5.0 / s) | 1, 1) for s in spacing[1:]]
    found = []
    for z in both:
        right, left = lungs.boxes[z]
        x0, x1 = round(float(right[0] + right[2]) / 2), round(float(left[0] + left[2]) / 2)
        y0, y1 = round(float(min(right[1], left[1]))), round(float(max(right[3], left[3])))
        y1 = (y0 + y1) // 2
        if x1 - x0 < 3 or y1 - y0 < 3:
            continue
        smooth = cv2.blur(study.hu[z, y0:y1, x0:x1].astype(np.float32), (k[1], k[0]))
        found.append(smooth[(smooth > -20) & (smooth < 700)])
    values = np.concatenate(found) if found else np.zeros(0)
    if values.size * study.grid.voxel_mm3 < 10_000:
        return None
    return float(np.percentile(values, 95))


def cut(lungs: LungReference, spacing_mm: float) -> float:
    """Share of the lungs' height that seems to lie beyond the first and last slice, 0..1.

    A lung that ends inside the study ends in a small area. Where an end slice still shows lung, what is missing
    beyond it is read from its area, as a share of the largest, by the profile of whole lungs; where that area says
    no more than "much", the height that is shown against the usual one says how much.
    """
    area = np.count_nonzero(lungs.sides, axis=(1, 2)).astype(np.float64)
    if not area.any():
        return 1.0
    shown = np.flatnonzero(area > 0.02 * area.max())
    shares = [float(area[end] / area.max()) for end in (0, -1)]
    missing = sum(float(np.interp(share, *profile)) for share, profile in zip(shares, (FEET, HEAD), strict=True))
    if max(shares) >= SATURATED:
        missing = max(missing, 1 - (shown[-1] - shown[0] + 1) * spacing_mm / USUAL_HEIGHT_MM)
    return min(missing, 1.0)


# Measured on the lung masks of 28 whole chests of the CAD-PE patients that may be trained on: median over them of the
# area at a cut as a share of the largest area that is left, and the share of the height beyond the cut.
FEET = ((0.02, 0.05, 0.14, 0.42, 0.74, 0.87, 0.92, 0.95), (0.0, 0.02, 0.05, 0.10, 0.15, 0.20, 0.27, 0.35))
HEAD = (
    (0.02, 0.07, 0.17, 0.32, 0.47, 0.60, 0.70, 0.77, 0.85, 0.91, 0.95),
    (0.0, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.50),
)
SATURATED = 0.9
USUAL_HEIGHT_MM = 205.0  # the same chests: 205 with a standard deviation of 34


def noise(study: Study) -> float | None:
    """Standard deviation in homogeneous soft tissue, HU: the commonest one of 7 x 7 mm patches.

    Source: the global noise level of Christianson et al., AJR 2015 (doi 10.2214/AJR.14.13613): the mode of the
    local standard deviations over soft tissue.
    """
    spacing = study.grid.spacing
    k = (max(round(7 / spacing[2]) | 1, 3), max(round(7 / spacing[1]) | 1, 3))
    bins = np.arange(0, 202, 2)
    histogram = np.zeros(len(bins) - 1)
    step = max(study.grid.shape[0] // 24, 1)
    for plane in study.hu[step // 2 :: step]:
        hu = plane.astype(np.float32)
        mean = cv2.blur(hu, k)
        deviation = np.sqrt(np.maximum(cv2.blur(hu * hu, k) - mean * mean, 0))
        tissue = (mean > 0) & (mean < 300) & (hu > -200)
        histogram += np.histogram(deviation[tissue], bins)[0]
    if histogram.sum() < 100:
        return None
    smooth = np.convolve(histogram, (0.25, 0.5, 0.25), mode="same")
    return float(bins[int(np.argmax(smooth))] + 1)


def _note(code: str, text: str, limit: float, unit: str, word: str = "at least") -> Note:
    return Note(code, f"{text} ({word} {limit:g} {unit} needed)")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
