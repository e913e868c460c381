"""Joining samples with little embolus into one that has more of it: four quarters, each from where its embolus is.

The mosaic of Bochkovskiy et al., "YOLOv4", 2020, for targets that are few and small.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Sample = tuple[NDArray[np.float32], NDArray[np.float32]]


class Draws(Protocol):
    """Where the samples come from that a mosaic is made of."""

    def draw(self, rng: np.random.Generator) -> Sample:
        """A view `[slice, y, x]` and its target `[output, y, x]`."""
        ...


class Mosaic:
    """Draws from another sampler, and joins what has little embolus.

    Args:
        inner: The other.
        chance: Probability of joining, where a sample has little.
        under: The share of embolus up to which it has little.
    """

    def __init__(self, inner: Draws, chance: float, under: float) -> None:
        self._inner, self._chance, self._under = inner, chance, under

    def draw(self, rng: np.random.Generator) -> Sample:
        """A sample; one with little embolus may be made of four, whose quarters are cut around their emboli."""
        first = self._inner.draw(rng)
        if rng.random() >= self._chance or _ratio(first[1]) > self._under:
            return first
        view, target = (part.copy() for part in first)
        rows, columns = view.shape[1] // 2, view.shape[2] // 2
        for index, (y, x) in enumerate(((0, 0), (0, columns), (rows, 0), (rows, columns))):
            other = first if index == 0 else self._inner.draw(rng)
            top, left = _corner(other[1], (rows, columns), rng)
            for whole, part in zip((view, target), other, strict=True):
                whole[:, y : y + rows, x : x + columns] = part[:, top : top + rows, left : left + columns]
        return view, target


def _ratio(target: NDArray[np.float32]) -> float:
    return float((target[0] >= 0.5).mean())


def _corner(target: NDArray[np.float32], size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Where a quarter is cut: around a point of embolus, or anywhere."""
    places = np.argwhere(target[0] >= 0.5)
    room = [whole - part for whole, part in zip(target.shape[1:], size, strict=True)]
    if not len(places):
        return int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
    point = places[rng.integers(len(places))]
    top, left = (int(np.clip(p - n // 2, 0, r)) for p, n, r in zip(point, size, room, strict=True))
    return top, left
