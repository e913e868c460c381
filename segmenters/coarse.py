"""The coarse segmentation stage: networks that see the whole lung region as a volume mark emboli and arteries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box
from cascade.core.isotropic import Isotropic
from cascade.core.patch import Patch
from cascade.core.stage import Learned, Scores
from cascade.core.study import Study
from cascade.core.windows import AIR_HU, LUNG, Window

EMBOLUS, ARTERY, STD = range(3)

NETWORKS: dict[str, str] = {"attention_resunet_3d": "segmenters.attention_resunet_3d:AttentionResUNet3D"}
"""Each takes float32 `[n, 2, z, y, x]` and answers logits `[n, 2, z, y, x]`, embolus and artery; in training it may
answer a list of them, the main answer first."""

BLOOD = Window(175, 950)
"""Wide enough to tell blood full of contrast from bone, and a clot from either."""


@dataclass(frozen=True)
class CoarseConfig:
    """How the study is cut for the networks.

    Attributes:
        step_mm: Distance of the lattice's points, the same along every axis.
        block: Points of a sample along `[z, y, x]`; multiples of 8. The region is covered by as few as it takes.
        overlap: Points by which neighbouring blocks overlap.
    """

    step_mm: float = 2.0
    block: tuple[int, int, int] = (72, 128, 160)
    overlap: int = 24

    def __post_init__(self) -> None:
        if not 0 < self.step_mm < math.inf:
            raise ValueError(f"step_mm must be above 0, got {self.step_mm}")
        if any(side < 8 or side % 8 for side in self.block):
            raise ValueError(f"block must have multiples of 8 for sides, got {list(self.block)}")
        if not 0 <= self.overlap < min(self.block):
            raise ValueError(f"overlap must be from 0 to less than a block's side, got {self.overlap}")


@dataclass(frozen=True, eq=False)
class Block(Patch):
    """A sample's place: a block of the lattice. As a patch it is the plane in its middle.

    Attributes:
        lattice: The block's points.
    """

    lattice: Isotropic

    @classmethod
    def of(cls, lattice: Isotropic) -> Block:
        """A block with the points of a lattice."""
        z, y, x = lattice.voxels
        step = (lattice.step_mm / lattice.source.spacing[1], lattice.step_mm / lattice.source.spacing[2])
        middle = int(np.clip(round(float(z[len(z) // 2])), 0, lattice.source.shape[0] - 1))
        return cls(middle, float(y[0]), float(x[0]), step, lattice.shape[1:], lattice)


class CoarseEnsemble(Learned):
    """Embolus and artery probability in the lung region, by networks of volumes on a coarse lattice.

    Reads     study.hu int16 `[z, y, x]`, HU; findings.lungs.region (the whole study where lungs are unknown)
    Returns   findings.embolus, findings.arteries, findings.std: uint8 `[z, y, x]`, 0..255 for 0..1, in the region
    Sample    float32 `[2, z, y, x]` in 0..1: a block of points `step_mm` apart, in a window for blood and one for lung
    Answer    float32 `[3, z, y, x]`: embolus, artery (both from the members' mean log-odds), and the standard
              deviation of the members' embolus probabilities
    """

    name: ClassVar[str] = "coarse"
    scores: ClassVar[Scores] = "voxels"
    optional: ClassVar[bool] = True
    network: ClassVar[str] = "attention_resunet_3d"
    batch_size: ClassVar[int] = 1
    networks: ClassVar[Mapping[str, str]] = NETWORKS
    Config: ClassVar[type[CoarseConfig]] = CoarseConfig
    config: CoarseConfig

    def region(self, study: Study, findings: Findings) -> Box | None:
        """The box to search; None where lungs were looked for and not found."""
        if findings.lungs is None:
            return Box(0, study.grid.shape[0], 0, study.grid.shape[1], 0, study.grid.shape[2])
        return findings.lungs.region

    def patches(self, study: Study, findings: Findings) -> Sequence[Block]:
        """Overlapping blocks of one size over the region."""
        box = self.region(study, findings)
        if box is None:
            return []
        whole = Isotropic.over(study.grid, box, self.config.step_mm)
        starts = [
            _starts(first, length, side, self.config.overlap)
            for first, length, side in zip(whole.first, whole.shape, self.config.block, strict=True)
        ]
        return [Block.of(whole.part((z, y, x), self.config.block)) for z, y, x in product(*starts)]

    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """HU at the points of a block, `[z, y, x]`; air beyond the study."""
        return _lattice(patch).crop(np.maximum(study.hu, AIR_HU), fill=AIR_HU)

    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Two windows, one over the other: `[2, z, y, x]`."""
        return np.stack([BLOOD.to_unit(hu), LUNG.to_unit(hu)])

    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """Coverage of each point by embolus and by artery; NaN where the truth does not know."""
        lattice = _lattice(patch)
        answer = np.zeros((3, *lattice.shape), dtype=np.float32)
        for channel, known in ((EMBOLUS, truth.embolus), (ARTERY, truth.arteries)):
            answer[channel] = np.nan if known is None else lattice.crop(known.full(study.grid.shape), fill=0) / 255
        return answer

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability by the mean of the members' log-odds, and how far the members differ."""
        members = np.stack([np.asarray(net(batch)[:, :2], np.float32) for net in self.nets.values()])
        std = expit(members[:, :, EMBOLUS]).std(axis=0)[:, None]
        return np.concatenate([expit(members.mean(axis=0)), std], axis=1).astype(np.float32)

    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """Put the blocks together, each weighing most in its middle, and bring them to the study's voxels."""
        box = self.region(study, findings)
        if box is None:
            return findings
        whole = Isotropic.over(study.grid, box, self.config.step_mm)
        total = np.zeros((3, *whole.shape), dtype=np.float32)
        weight = np.zeros(whole.shape, dtype=np.float32)
        for patch, answer in outputs:
            here, there = _shared(whole, _lattice(patch))
            hill = _hill(_lattice(patch).shape)[there]
            total[:, *here] += hill * answer[:, *there]
            weight[here] += hill
        mean = total / np.maximum(weight, 1e-6)
        fields = [Field(np.rint(np.clip(255 * whole.paste(one, box), 0, 255)).astype(np.uint8), box) for one in mean]
        return replace(findings, embolus=fields[EMBOLUS], arteries=fields[ARTERY], std=fields[STD])


def _lattice(patch: Patch) -> Isotropic:
    if not isinstance(patch, Block):
        raise TypeError("a coarse stage looks at blocks, not at patches of a slice")
    return patch.lattice


def _starts(first: int, length: int, side: int, overlap: int) -> list[int]:
    """First points of the fewest blocks of `side` points that cover `length` points from `first` on."""
    if length <= side:
        return [first - (side - length) // 2]
    count = 1 + int(np.ceil((length - side) / (side - overlap)))
    return [int(start) for start in np.rint(np.linspace(first, first + length - side, count))]


def _shared(whole: Isotropic, part: Isotropic) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the points that two pieces of one lattice share lie in the first, and in the second."""
    here: list[slice] = []
    there: list[slice] = []
    for a, n, b, m in zip(whole.first, whole.shape, part.first, part.shape, strict=True):
        low, high = max(a, b), min(a + n, b + m)
        here.append(slice(low - a, max(high, low) - a))
        there.append(slice(low - b, max(high, low) - b))
    return tuple(here), tuple(there)


def _hill(size: tuple[int, int, int]) -> NDArray[np.float32]:
    """Weights of a block's points, falling linearly to its rim."""
    z, y, x = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)).astype(np.float32) for n in size)
    return np.minimum(z[:, None, None], np.minimum(y[:, None], x))
