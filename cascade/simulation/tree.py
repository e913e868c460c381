"""The arterial tree as paths: from any point of the arteries along their middle back to the trunk."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from cascade.anatomy.morphology import largest
from cascade.simulation.shapes import F32, U8, Points

STEPS = [
    (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 1, -1), (1, 0, 1), (1, 0, -1), (1, 1, 0), (1, -1, 0),
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Path:
    """A way along the middle of arteries, from the trunk outwards.

    Attributes:
        nodes: Voxel numbers in the tree, `[n]`; two paths share those of their common trunk.
        points: Smoothed places (z, y, x), canvas voxels, `[n, 3]`.
        radius: Smoothed radius of the artery, mm, `[n]`.
        along: Distance from the trunk along the path, mm, `[n]`.
        tree: Whose voxels the nodes are.
    """

    nodes: NDArray[np.intp]
    points: Points
    radius: NDArray[np.float64]
    along: NDArray[np.float64]
    tree: Tree


@dataclasses.dataclass(frozen=True)
class Tree:
    """The largest connected piece of artery.

    Attributes:
        voxels: Its voxels (z, y, x), `[n, 3]`.
        radius: Distance of each from the wall, mm.
        before: The voxel before each on the way to the trunk; negative at the trunk.
        mm: Voxel size.
    """

    voxels: NDArray[np.intp]
    radius: F32
    before: NDArray[np.int32]
    mm: float

    def path(self, node: int) -> Path:
        """The way from the trunk to a voxel."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = int(self.before[node])
        order = np.array(nodes[::-1])
        raw = self.voxels[order].astype(float)
        sigma = min(2.5 / self.mm, len(raw) / 4)
        points = ndimage.gaussian_filter1d(raw, sigma, axis=0, mode="nearest")
        points[-1] = raw[-1]
        radius = ndimage.gaussian_filter1d(self.radius[order].astype(float), 2 * sigma, mode="nearest")
        along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))] * self.mm
        return Path(order, points, radius, along, self)

    def paths(self, count: int, rng: np.random.Generator) -> list[Path]:
        """Ways to `count` thin ends, drawn at random, evenly over both lungs."""
        small = self.radius <= 1.6 * max(self.mm, 1.0)
        thin = np.flatnonzero(small & (self.calibre(5.0) <= 2.6 * max(self.mm, 1.0)))
        if thin.size < 20:
            thin = np.flatnonzero(small) if small.any() else np.arange(len(self.voxels))
        x = self.voxels[thin, 2]
        middle = np.median(self.voxels[self.radius >= np.percentile(self.radius, 97), 2])
        picks: list[int] = []
        for side in (thin[x < middle], thin[x >= middle]):
            if side.size:
                picks += rng.choice(side, min(count // 2 + 1, side.size), replace=False).tolist()
        return [p for p in (self.path(i) for i in picks) if len(p.nodes) > 4]

    def calibre(self, back_mm: float) -> F32:
        """Radius of the artery around each voxel, mm: the largest on the last `back_mm` of the way from the trunk.

        A voxel at the wall of a wide artery has a small radius itself, but a wide way to it.
        """
        back = np.where(self.before >= 0, self.before, np.arange(len(self.before)))
        widest, at = self.radius.copy(), back
        for _ in range(round(back_mm / self.mm)):
            np.maximum(widest, self.radius[at], out=widest)
            at = back[at]
        return widest

    def behind(self, cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which voxels have a voxel of `cut` on their way from the trunk, or lie in it; bool `[n]`."""
        reached = cut.copy()
        back = np.where(self.before >= 0, self.before, np.arange(len(self.before)))
        while True:  # each turn looks twice as far back
            more = reached | reached[back]
            further = back[back]
            if np.array_equal(further, back):
                return more
            reached, back = more, further


def grow(artery: U8, trunk: Points, mm: float) -> Tree:
    """Find the tree in an occupancy map uint8 `[z, y, x]`, rooted near `trunk` (z, y, x)."""
    mask = artery >= 128
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    inner = largest(np.pad(mask[box], 1))
    origin = np.array([s.start - 1 for s in box])
    voxels = np.argwhere(inner)
    rim = ndimage.binary_dilation(inner) & ~inner
    outside = cKDTree(np.argwhere(rim), leafsize=32, balanced_tree=False, compact_nodes=False)
    radius = (np.asarray(outside.query(voxels, workers=1)[0], np.float32) - 0.5) * np.float32(mm)
    number = np.full(inner.shape, -1, np.int32)
    number[tuple(voxels.T)] = np.arange(len(voxels))
    rows, columns, costs = [], [], []
    ease = 1.0 / np.maximum(radius / mm, 0.5) ** 2
    for step in STEPS:
        other = number[tuple((voxels + step).T)]
        own = np.flatnonzero(other >= 0)
        other = other[own]
        rows.append(own)
        columns.append(other)
        costs.append(np.linalg.norm(step) * (0.05 + 0.5 * (ease[own] + ease[other])))
    graph = sparse.coo_matrix(
        (np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), shape=(len(voxels),) * 2
    ).tocsr()
    root = int(np.linalg.norm(voxels + origin - trunk, axis=1).argmin())
    dijkstra: Any = csgraph.dijkstra
    found = dijkstra(graph, directed=False, indices=root, return_predecessors=True)
    return Tree(voxels + origin, radius, np.asarray(found[1], np.int32), mm)
