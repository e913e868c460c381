"""The lung detector: boxes of both lungs and one region, so that the later stages know where to look."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre, reference_of
from cascade.core.errors import UsageError
from cascade.core.findings import Findings, LungReference, Lungs
from cascade.core.patch import Patch
from cascade.core.stage import Learned
from cascade.core.study import Note, Study
from cascade.core.windows import WINDOWS
from detectors.nms import suppress
from detectors.region import area_ratio, around, fill, join, widen, without_leaps, without_strays

CHANNELS = ("lung", "pe", "mediastinal")
"""The windows that the network sees, in this order."""

LABELS = ("right lung", "left lung")
"""The classes of the network, in this order."""


@dataclass(frozen=True)
class LungDetectorConfig:
    """Where the detector looks, and what it makes of the answers.

    Attributes:
        stride_mm: One slice in so many mm is looked at. Lungs change little over 10 mm, and what lies between two
            slices gets the box around both.
        pixel_mm: Distance of the picture's points.
        size: Points along y and x: 512 mm, a whole body with arms.
        confidence: Lowest score of a box.
        iou: Highest overlap of two boxes of one lung.
        run: Boxes of one side on fewer slices in a row than this are taken for a mistake.
        slope: How fast a lung may widen along the patient, mm for a mm.
        margin_mm: What the region is wider than the boxes. The central arteries lie between the lungs and need
            none; it pays for the detector's own inaccuracy, 2 to 6 mm.
        agreement: Overlap of the network's region and the threshold's under which they are said to disagree.
    """

    stride_mm: float = 10.0
    pixel_mm: float = 2.0
    size: int = 256
    confidence: float = 0.4
    iou: float = 0.5
    run: int = 2
    slope: float = 2.0
    margin_mm: float = 8.0
    agreement: float = 0.6

    def __post_init__(self) -> None:
        for name in ("stride_mm", "pixel_mm", "size", "slope"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.margin_mm < math.inf or self.run < 0:
            raise ValueError(f"margin_mm and run must be from 0 on, got {self.margin_mm} and {self.run}")
        if self.size % 32:
            raise ValueError(f"size must be a multiple of 32, which the network halves to, got {self.size}")
        for name in ("confidence", "iou", "agreement"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")


class LungDetector(Learned):
    """Boxes of the right and the left lung on each slice, and the box around both with a margin.

    Reads     study.hu int16 `[z, y, x]`, HU; findings.reference
    Returns   findings.lungs
    Sample    float32 `[3, y, x]` in 0..1: one slice around the body's centre in the windows lung, pe, mediastinal

    Answers and targets are decoded rows `[n, 6]` before suppression: x0, y0, x1, y1 in the sample's pixels (edges, as
    Ultralytics counts them: pixel i lies between i and i + 1), score of the right and of the left lung.
    The threshold finder (`cascade.anatomy.lungs`) stands beside the network: the region holds what either of the two
    finds, and a note says where they disagree.
    """

    name: ClassVar[str] = "lung_detector"
    network: ClassVar[str] = "yolo"
    batch_size: ClassVar[int] = 4
    Config: ClassVar[type[LungDetectorConfig]] = LungDetectorConfig
    config: LungDetectorConfig

    def patches(self, study: Study, findings: Findings) -> list[Patch]:
        """One patch every `stride_mm`, all around the body's centre."""
        config, grid = self.config, study.grid
        centre = body_centre(study)
        size = (config.size, config.size)
        return [grid.patch(z, centre, config.pixel_mm, size) for z in grid.every(config.stride_mm)]

    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """The slice's HU, `[1, y, x]`."""
        return patch.crop(study.hu[patch.z])[None]

    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Three windows of the slice, `[3, y, x]`."""
        return np.stack([WINDOWS[name].to_unit(hu[0]) for name in CHANNELS])

    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """`[2, 6]`: the right and the left lung's row with score 1; scores of 0 where a lung is not seen."""
        if truth.lungs is None:
            return np.full((2, 6), np.nan, np.float32)
        return to_rows(truth.lungs.boxes[patch.z], patch)

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows `[n, anchors, 6]`.

        Raises:
            UsageError: There is no network.
        """
        if not self.nets:
            raise UsageError(f"the stage {self.name!r} was made without networks; load it from a bundle")
        # Several networks only add rows: suppression chooses among them.
        return np.concatenate([net(batch).transpose(0, 2, 1) for net in self.nets.values()], axis=1)

    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """Suppress, fill between the slices looked at, join with the threshold's boxes, put one region around all."""
        config = self.config
        seen: list[int] = []
        boxes: list[NDArray[np.float32]] = []
        for patch, rows in outputs:
            seen.append(patch.z)
            boxes.append(from_rows(rows, patch, study.grid.shape, config))
        some = np.array(boxes, dtype=np.float32).reshape(-1, 2, 4)
        steady = without_leaps(some, study.grid.z_mm[seen], study.grid.spacing[1:], config.slope)
        learned = fill(without_strays(steady, config.run), seen, study.grid.shape[0])
        reference = reference_of(study, findings)
        region = widen(around(join(learned, reference.boxes)), study.grid, config.margin_mm)
        lungs = Lungs(join(learned, reference.boxes), region)
        notes = disagreement(learned, reference, config.agreement)
        return replace(findings, lungs=lungs, warnings=findings.warnings + notes)


def to_rows(boxes: NDArray[np.float32], patch: Patch) -> NDArray[np.float32]:
    """Rows `[2, 6]` of a slice's boxes `[2, 4]` in voxels (half-open edges)."""
    rows = np.zeros((2, 6), np.float32)
    origin = np.array([patch.x, patch.y, patch.x, patch.y])
    step = np.array([patch.step[1], patch.step[0]] * 2)
    for side in range(2):
        if np.isfinite(boxes[side]).all():
            # An edge e lies half a voxel before the centre of voxel e; the same holds for pixels.
            rows[side, :4] = (boxes[side] - 0.5 - origin) / step + 0.5
            rows[side, 4 + side] = 1
    return rows


def from_rows(
    rows: NDArray[np.generic], patch: Patch, shape: tuple[int, int, int], config: LungDetectorConfig
) -> NDArray[np.float32]:
    """The best box of each lung `[2, 4]` in voxels, kept inside the slice; NaN where none is good enough."""
    boxes = np.full((2, 4), np.nan, np.float32)
    origin = np.array([patch.x, patch.y, patch.x, patch.y])
    step = np.array([patch.step[1], patch.step[0]] * 2)
    for kept in suppress(rows, config.confidence, config.iou):
        if kept.label < 2 and np.isnan(boxes[kept.label, 0]):
            voxels = (np.array(kept.box) - 0.5) * step + origin + 0.5
            clipped = np.clip(voxels, 0, [shape[2], shape[1], shape[2], shape[1]])
            if clipped[2] > clipped[0] and clipped[3] > clipped[1]:
                boxes[kept.label] = clipped
    return boxes


def disagreement(learned: NDArray[np.float32], reference: LungReference, least: float) -> tuple[Note, ...]:
    """A note where the network and the threshold put the lungs elsewhere."""
    share = area_ratio(around(learned), around(reference.boxes))
    if share >= least:
        return ()
    said = [int(np.isfinite(boxes[..., 0]).any(axis=1).sum()) for boxes in (learned, reference.boxes)]
    text = (
        f"the lung detector sees lungs on {said[0]} slices, the threshold at -500 HU on {said[1]}, "
        f"and their regions share {share:.0%}; the region holds both"
    )
    return (Note("W_LUNGS_DISAGREE", text),)
