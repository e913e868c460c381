"""Whether arteries, veins and lungs can be those of one chest that lies as it is stated to.

The limits are wide around what 71 maps of patients and the procedural anatomies show, whose figures stand behind them.
Left and right cannot be told apart: no figure of a label map differs from its mirror image's in all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

U8 = NDArray[np.uint8]
Points = NDArray[np.float64]

ARTERY, VEIN, LUNG = 1, 2, 3
NAMES = {ARTERY: "artery", VEIN: "vein", LUNG: "lung"}

VOXEL_MM = (0.2, 6.0)  # 0.5 to 3
EXTENT_MM = (80.0, 600.0)  # 150 to 350 along each axis
VOLUME_ML = {ARTERY: (15, 1500), VEIN: (10, 1500), LUNG: (400, 15_000)}  # 83 to 446, 97 to 357, 1463 to 7369
GRID_MM = 3.0
"""What is measured is measured on a grid of about this size."""
NEAR_MM, MOST_AFAR = 70.0, 0.05
"""Largest share of arteries that lies farther than this from the lungs; none does, all lie within 50."""
LEAST_SIDE = 0.05
"""Least share of the lungs on either side of the main arteries; 0.37."""
LEAST_ABOVE_MM = 0.0
"""How far the main arteries lie above the left atrium, the thickest vein; 23 to 51."""
MOST_BEHIND_MM = 12.0
"""How far they lie behind it; 42 in front of it to 6 behind."""


def fault(labels: U8, spacing_mm: tuple[float, float, float]) -> str | None:
    """What is wrong with an anatomy, as the rest of a sentence that begins with its name; None if nothing is.

    Args:
        labels: `[z, y, x]` (towards head, back, patient's left): 1 artery, 2 vein, 3 lung, 0 else.
        spacing_mm: Voxel size (z, y, x), mm.
    """
    if labels.ndim != 3:
        return f"has {labels.ndim} axes; expected 3, one label a voxel"
    if not all(VOXEL_MM[0] <= side <= VOXEL_MM[1] for side in spacing_mm):
        text = " x ".join(f"{side:g}" for side in spacing_mm)
        return f"has voxels of {text} mm; expected {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g}: write it with its affine in mm"
    found = np.flatnonzero(np.bincount(labels.ravel(), minlength=4)).tolist()
    if set(found) - {0, *NAMES}:
        return f"has labels {found}; expected 0, 1 artery, 2 vein, 3 lung: number them so"
    if missing := [number for number in NAMES if number not in found]:
        return f"lacks labels {missing}; expected 1 artery, 2 vein and 3 lung in one map: add them"
    return _wrong_size(labels, np.array(spacing_mm)) or _wrong_place(labels, np.array(spacing_mm))


def _wrong_size(labels: U8, spacing: Points) -> str | None:
    counts = np.bincount(labels.ravel())
    for number, (low, high) in VOLUME_ML.items():
        volume = float(counts[number] * np.prod(spacing)) / 1000
        if not low <= volume <= high:
            text = f"holds {volume:.3g} ml of {NAMES[number]}; a chest has {low} to {high}"
            return f"{text}: give a whole chest, with its affine in mm"
    box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
    extent = [(side.stop - side.start) * mm for side, mm in zip(box, spacing, strict=True)]
    if not all(EXTENT_MM[0] <= mm <= EXTENT_MM[1] for mm in extent):
        text = f"spans {' x '.join(f'{mm:.0f}' for mm in extent)} mm (z, y, x)"
        return f"{text}; a chest spans {EXTENT_MM[0]:g} to {EXTENT_MM[1]:g} each way: see to its labels and affine"
    return None


def _wrong_place(labels: U8, spacing: Points) -> str | None:
    step = np.maximum(np.rint(GRID_MM / spacing), 1).astype(int)
    small, mm = labels[:: step[0], :: step[1], :: step[2]], spacing * step
    lung = np.argwhere(small == LUNG) * mm
    far = ndimage.distance_transform_edt(small != LUNG, sampling=mm)[small == ARTERY] > NEAR_MM
    if not len(lung) or not far.size or far.mean() > MOST_AFAR:
        return f"has arteries farther than {NEAR_MM:g} mm from its lungs; give arteries and lungs of one scan"
    main, atrium = _thick(small == ARTERY, mm), _thick(small == VEIN, mm)
    right = float((lung[:, 2] < main[2]).mean())
    if not LEAST_SIDE <= right <= 1 - LEAST_SIDE:
        return "has its main arteries beside both lungs instead of between them; see to its labels and affine"
    if main[0] - atrium[0] < LEAST_ABOVE_MM:
        return (
            "is upside down, or its axes are mixed up: its main arteries lie below the left atrium; see to its affine"
        )
    if main[1] - atrium[1] > MOST_BEHIND_MM:
        return "lies back to front, for its main arteries lie behind the left atrium; mend its affine"
    return None


def _thick(mask: NDArray[np.bool_], mm: Points) -> Points:
    """The middle (z, y, x) of where vessels are thickest, mm."""
    depth = ndimage.distance_transform_edt(mask, sampling=mm)
    at = np.argwhere(depth >= max(0.5 * float(depth.max()), 1e-6))
    weight = depth[tuple(at.T)] ** 2
    return np.asarray((at * mm * weight[:, None]).sum(0) / max(float(weight.sum()), 1e-6))
