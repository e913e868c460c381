"""Crops of packed volumes to learn from: aimed evenly at clots, changed strongly, drawn fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.bounds import NOT_NEGATIVE, SHARE, WEIGHTS, refuse_outside
from cascade.core.errors import InputError, UsageError
from cascade.core.windows import AIR_HU
from cascade.datasets.case import Case
from cascade.training.volume_change import VolumeChange, changed_hu, moved_points

Preprocess = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""HU `[z, y, x]` to what the network sees, `[channel, z, y, x]`."""

SURE = (0.15, 0.7)
"""Probability of artery in a real scan below which there is none, and from which there is one; between is unknown."""

_CLOT_POINTS, _ARTERY_POINTS = 48, 400


@dataclass(frozen=True)
class VolumeCrops:
    """Which crops to draw.

    Attributes:
        size: Points along `[z, y, x]`.
        kinds: Share of the crops from each kind of case; those of which there is none are left out.
        clot: Share of a kind's crops that are aimed at a clot, where it has some.
        artery: Share that are aimed at an artery; the rest lie anywhere but at the rim.
        negative: Share of the crops that are not aimed at a clot which come from cases without any.
        jitter: How far the aim may lie from the middle of the crop, as a share of its sides.
    """

    size: tuple[int, int, int] = (56, 64, 64)
    kinds: Mapping[str, float] = field(
        default_factory=lambda: {"simulated": 0.55, "procedural": 0.15, "hybrid": 0.25, "labelled": 0.25, "real": 0.2}
    )
    clot: float = 0.55
    artery: float = 0.33
    negative: float = 0.65
    jitter: float = 0.35

    def __post_init__(self) -> None:
        """Refuse what no crop can be drawn by."""
        if min(self.size) < 1:
            raise UsageError(f"crops.size is {list(self.size)}; each side must be 1 or more", "E_CROPS")
        bounds = {SHARE: ("clot", "artery", "negative"), NOT_NEGATIVE: ("jitter",), WEIGHTS: ("kinds",)}
        refuse_outside(self, "crops", "E_CROPS", bounds)
        if self.clot + self.artery > 1:
            raise UsageError(
                f"crops.clot and crops.artery are {self.clot} and {self.artery}; together they may be 1 at most",
                "E_CROPS",
            )


@dataclass(frozen=True, eq=False)
class _Places:
    """Where a case may be aimed at: points `[n, 3]` of each clot, and of arteries."""

    clots: tuple[NDArray[np.int32], ...]
    arteries: NDArray[np.int32]


class VolumeSampler:
    """Draws crops of packed cases (`cascade.training.packed`) that stay on disk until they are drawn.

    Clots are aimed at evenly: a small one as often as a large one.

    Args:
        files: Packed cases.
        preprocess: Windows the HU.
        crops: Which crops.
        change: How to change them.

    Raises:
        InputError: There is no case of a kind that is asked for.
    """

    def __init__(
        self,
        files: Sequence[Path],
        preprocess: Preprocess,
        crops: VolumeCrops | None = None,
        change: VolumeChange | None = None,
    ) -> None:
        self.files, self.preprocess = list(files), preprocess
        self.crops, self.change = crops or VolumeCrops(), change or VolumeChange()
        self._places: list[_Places] = []
        self._of: dict[str, list[int]] = {}
        self._without: dict[str, list[int]] = {}
        self._clots: dict[str, list[tuple[int, int]]] = {}
        for i, path in enumerate(self.files):
            case = Case.load(path)
            places = _places(case)
            self._places.append(places)
            self._of.setdefault(case.kind, []).append(i)
            if not places.clots and case.truth.embolus is not None:
                self._without.setdefault(case.kind, []).append(i)
            self._clots.setdefault(case.kind, []).extend((i, clot) for clot in range(len(places.clots)))
        self._kinds = [kind for kind, share in self.crops.kinds.items() if share and kind in self._of]
        if not self._kinds:
            raise InputError("E_NO_CASES", f"none of the cases is of a kind that is drawn: {list(self.crops.kinds)}")
        shares = np.array([self.crops.kinds[kind] for kind in self._kinds], np.float64)
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A view `[channel, z, y, x]` and its target `[2, z, y, x]`, embolus and artery; NaN where unknown."""
        index, centre = self._aim(str(rng.choice(self._kinds, p=self._shares)), rng)
        case = Case.load(self.files[index])
        points = moved_points(self.crops.size, centre, rng, self.change)
        hu, embolus, artery = _sampled(case, points)
        known = np.full_like(embolus, np.nan) if case.truth.embolus is None else embolus
        target = np.stack([known, _known_artery(case, artery, embolus)])
        return self.preprocess(changed_hu(hu, rng, self.change)), target

    def _aim(self, kind: str, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
        """A case, and the point that its crop is centred on."""
        aim, clots = rng.random(), self._clots[kind]
        if aim < self.crops.clot and clots:
            index, clot = clots[rng.integers(len(clots))]
            points = self._places[index].clots[clot]
        else:
            without = self._without.get(kind)
            some = without if without and rng.random() < self.crops.negative else self._of[kind]
            index = some[rng.integers(len(some))]
            points = self._places[index].arteries
            if aim >= self.crops.clot + self.crops.artery or not len(points):
                shape = Case.load(self.files[index]).study.grid.shape
                return index, rng.uniform(0.2, 0.8, 3) * np.array(shape)
        size = np.array(self.crops.size)
        return index, points[rng.integers(len(points))] + rng.uniform(-1, 1, 3) * self.crops.jitter * size


def _places(case: Case) -> _Places:
    clots: list[NDArray[np.int32]] = []
    numbers = clot_numbers(case)
    if numbers is not None and numbers.any():
        where, some = np.argwhere(numbers > 0).astype(np.int32), numbers[numbers > 0]
        clots = [_thinned(where[some == number], _CLOT_POINTS) for number in np.unique(some)]
    arteries = np.zeros((0, 3), np.int32)
    if case.truth.arteries is not None:
        arteries = _thinned(np.argwhere(case.truth.arteries.values >= 128).astype(np.int32), _ARTERY_POINTS)
    return _Places(tuple(clots), arteries)


def clot_numbers(case: Case) -> NDArray[np.unsignedinteger[Any]] | None:
    """Numbers of a packed case's clots `[z, y, x]`: its labels, else components (26 neighbours); None where unknown."""
    if case.truth.embolus is None:
        return None
    if case.truth.labels is not None:
        labels: NDArray[np.unsignedinteger[Any]] = case.truth.labels.values
        return labels
    import cc3d

    numbers: NDArray[np.unsignedinteger[Any]] = cc3d.connected_components(
        case.truth.embolus.values >= 128, connectivity=26
    )
    return numbers


def _thinned(points: NDArray[np.int32], most: int) -> NDArray[np.int32]:
    return points[:: max(len(points) // most, 1)]


def _sampled(case: Case, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """HU, embolus and artery (0..1) of a case at points `[z, y, x, 3]` (z, y, x of its lattice), linearly."""
    study, truth = case.study, case.truth
    low = np.maximum(np.floor(points.reshape(-1, 3).min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(points.reshape(-1, 3).max(0)).astype(int) + 2, study.grid.shape)
    high = np.maximum(high, low + 2)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    maps = np.zeros((3, *study.hu[box].shape), np.float32)
    maps[0] = study.hu[box].astype(np.float32) - AIR_HU
    for i, known in enumerate((truth.embolus, truth.arteries), start=1):
        if known is not None:
            maps[i] = known.values[box].astype(np.float32) / 255
    size = np.array(maps.shape[1:], np.float32)
    # torch counts from the voxels' edges, -1 to 1, x first; what lies outside is 0, and that is air.
    unit = (2 * (points - low.astype(np.float32)) + 1) / size - 1
    at = torch.from_numpy(np.ascontiguousarray(unit[..., ::-1], dtype=np.float32))[None]
    got = F.grid_sample(torch.from_numpy(maps)[None], at, "bilinear", "zeros", align_corners=False)[0].numpy()
    return got[0] + AIR_HU, got[1], got[2]


def _known_artery(case: Case, artery: NDArray[np.float32], embolus: NDArray[np.float32]) -> NDArray[np.float32]:
    """The artery target: exact in a painted chest; in a real one what a network is sure of, and painted clots."""
    if case.truth.arteries is None:
        return np.full_like(artery, np.nan)
    if case.kind in ("simulated", "procedural"):
        return artery
    low, high = SURE
    sure = np.where(artery >= high, 1.0, np.where(artery <= low, 0.0, np.nan))
    return np.where(embolus >= 0.5, 1.0, sure).astype(np.float32)
