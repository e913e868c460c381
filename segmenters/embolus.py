"""The segmentation stage: an ensemble of 2.5D networks marks emboli and pulmonary arteries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box
from cascade.core.patch import Patch
from cascade.core.stage import Learned, Scores
from cascade.core.study import Study
from cascade.core.windows import WINDOWS
from segmenters.together import together

EMBOLUS, ARTERY, STD = range(3)


@dataclass(frozen=True)
class EmbolusConfig:
    """How the study is cut for the networks.

    Attributes:
        pixel_mm: Distance of a sample's points in the slice.
        slices: Neighbouring slices a network sees, as channels.
        slice_mm: Their distance; true millimetres, so that thin and thick studies look alike.
        stride_mm: Distance of the slices that are predicted; those between are filled linearly.
        tile: Rows and columns of a sample; multiples of 16. The region is covered by as few tiles as it takes.
        overlap: Points by which neighbouring tiles overlap.
        window: Name of the CT window.
        before: Share (0..1) that an earlier stage's findings of embolus and arteries have in the log-odds; 0 to put
            this stage's in their place.
    """

    pixel_mm: float = 1.25
    slices: int = 7
    slice_mm: float = 2.0
    stride_mm: float = 2.0
    tile: tuple[int, int] = (224, 288)
    overlap: int = 32
    window: str = "pe"
    before: float = 0.0

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(WINDOWS)}, got {self.window!r}")
        if not 0 <= self.before <= 1:
            raise ValueError(f"before must be from 0 to 1, got {self.before}")
        for name in ("pixel_mm", "slice_mm", "stride_mm", "slices"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if any(side < 16 or side % 16 for side in self.tile):
            raise ValueError(f"tile must have multiples of 16 for sides, got {list(self.tile)}")
        # Two points of a tile are its rim, and neighbours must not cover it whole.
        if not 0 <= self.overlap < min(self.tile) - 2:
            raise ValueError(f"overlap must be from 0 to less than a tile's side less 2, got {self.overlap}")


class EmbolusEnsemble(Learned):
    """Embolus and artery probability in the lung region, averaged over an ensemble of 2.5D networks.

    Reads     study.hu int16 `[z, y, x]`, HU; findings.lungs.region (the whole study where lungs are unknown)
    Returns   findings.embolus, findings.arteries, findings.std: uint8 `[z, y, x]`, 0..255 for 0..1, in the region
    Sample    float32 `[slice, y, x]` in 0..1: slices `slice_mm` apart, feet to head, in one CT window
    Answer    float32 `[3, y, x]`: embolus, artery, and the members' standard deviation for embolus
    """

    name: ClassVar[str] = "embolus"
    network: ClassVar[str] = "attention_resunet"
    scores: ClassVar[Scores] = "voxels"
    Config: ClassVar[type[EmbolusConfig]] = EmbolusConfig
    config: EmbolusConfig

    def region(self, study: Study, findings: Findings) -> Box | None:
        """The box to search; None where lungs were looked for and not found."""
        if findings.lungs is None:
            return Box(0, study.grid.shape[0], 0, study.grid.shape[1], 0, study.grid.shape[2])
        return findings.lungs.region

    def patches(self, study: Study, findings: Findings) -> Sequence[Patch]:
        """Tiles over the region, on slices `stride_mm` apart."""
        box = self.region(study, findings)
        if box is None:
            return []
        spacing = study.grid.spacing
        rows = _centres(box.y0, box.y1, self.config.tile[0], self.config.overlap, self.config.pixel_mm / spacing[1])
        columns = _centres(box.x0, box.x1, self.config.tile[1], self.config.overlap, self.config.pixel_mm / spacing[2])
        return [
            study.grid.patch(z, (y, x), self.config.pixel_mm, self.config.tile)
            for z in study.grid.every(self.config.stride_mm, box.z0, box.z1)
            for y in rows
            for x in columns
        ]

    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """The slice and its neighbours, each as thick as they are apart."""
        slab = study.grid.slab(patch.z, self.config.slices, self.config.slice_mm)
        planes = {z: patch.crop(study.hu[z]) for level in slab for z in level}
        return np.stack([sum(weight * planes[z] for z, weight in level.items()) for level in slab])

    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """One window over all slices."""
        return WINDOWS[self.config.window].to_unit(hu)

    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """Coverage of each point by embolus and by artery; NaN where the truth does not know."""
        level = study.grid.slab(patch.z, 1, self.config.slice_mm)[0]
        answer = np.zeros((3, *patch.size), dtype=np.float32)
        for channel, known in ((EMBOLUS, truth.embolus), (ARTERY, truth.arteries)):
            if known is None:
                answer[channel] = np.nan
            else:
                planes = (weight * patch.crop(_plane(known, z, truth), fill=0) for z, weight in level.items())
                answer[channel] = sum(planes) / 255
        return answer

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean probability over the members, and their standard deviation."""
        members = np.stack([_sigmoid(net(batch)[:, :2]) for net in self.nets.values()])  # [member, n, 2, y, x]
        std = members[:, :, EMBOLUS].std(axis=0, keepdims=False)[:, None]
        return np.concatenate([members.mean(axis=0), std], axis=1)

    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """Bring the tiles back to the study's voxels."""
        box = self.region(study, findings)
        if box is None:
            return findings
        levels: dict[int, _Mosaic] = {}
        for patch, answer in outputs:
            level = levels.setdefault(patch.z, _Mosaic(box))
            level.add(patch, answer)
        planes = {z: level.values() for z, level in levels.items()}
        maps = _fill_between(planes, box)
        found = replace(findings, embolus=maps[EMBOLUS], arteries=maps[ARTERY], std=maps[STD])
        return together(findings, found, self.config.before)


class _Mosaic:
    """One slice of the region, put together from overlapping tiles; a tile weighs most in its middle."""

    def __init__(self, box: Box) -> None:
        self.rows, self.columns = (box.y0, box.y1), (box.x0, box.x1)
        self.sum = np.zeros((3, box.y1 - box.y0, box.x1 - box.x0), dtype=np.float32)
        self.weight = np.zeros(self.sum.shape[1:], dtype=np.float32)

    def add(self, patch: Patch, answer: NDArray[Any]) -> None:
        hill = _hill(patch.size)
        for channel in range(3):
            self.sum[channel] += patch.paste(hill * answer[channel], self.rows, self.columns)
        self.weight += patch.paste(hill, self.rows, self.columns)

    def values(self) -> NDArray[np.uint8]:
        mean = self.sum / np.maximum(self.weight, 1e-6)
        return np.rint(np.clip(mean, 0, 1) * 255).astype(np.uint8)


def _fill_between(planes: Mapping[int, NDArray[np.uint8]], box: Box) -> list[Field]:
    """Fields of the whole box from the predicted slices; between two of them linear, beyond the last the last."""
    known = np.array(sorted(planes))
    maps = [np.zeros(box.shape, dtype=np.uint8) for _ in range(3)]
    for z in range(box.z0, box.z1):
        after = int(np.searchsorted(known, z))
        low, high = int(known[max(after - 1, 0)]), int(known[min(after, len(known) - 1)])
        if z in planes:
            low = high = z
        share = 0.0 if low == high else (z - low) / (high - low)
        for channel in range(3):
            mixed = (1 - share) * planes[low][channel] + share * planes[high][channel]
            maps[channel][z - box.z0] = np.rint(mixed)
    return [Field(values, box) for values in maps]


def _plane(known: Field, z: int, truth: Findings) -> NDArray[np.float32]:
    plane = np.zeros(truth.grid.shape[1:], dtype=np.float32)
    box = known.box
    if box.z0 <= z < box.z1:
        plane[box.slices[1:]] = known.values[z - box.z0]
    return plane


def _centres(first: int, last: int, points: int, overlap: int, step: float) -> list[float]:
    """Centres (voxels) of the fewest tiles of `points` lattice points that cover `first`..`last`."""
    # Two points less than a tile has: its lattice is snapped to millimetres, and its rim has no neighbour beyond.
    length, tile = last - first, (points - 2) * step
    count = 1 if length <= tile else 1 + int(np.ceil((length - tile) / ((points - 2 - overlap) * step)))
    if count == 1:
        return [(first + last) / 2]
    return [float(c) for c in np.linspace(first + tile / 2, last - tile / 2, count)]


def _hill(size: tuple[int, int]) -> NDArray[np.float32]:
    """Weights of a tile's points, falling linearly to its rim."""
    ramps = [np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32) for n in size]
    hill: NDArray[np.float32] = np.minimum.outer(ramps[0], ramps[1])
    return hill


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)
