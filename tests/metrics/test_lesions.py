from __future__ import annotations

import numpy as np

from cascade.core.grid import Box
from cascade.metrics.lesions import match
from tests.metrics.test_score import CLOT, ELSEWHERE, SPECK, believe

VOXEL = 8.0


def test_a_lesion_finds_every_clot_that_it_shares_a_voxel_with() -> None:
    beside = Box(1, 3, 2, 4, 5, 7)
    matched = match(believe(Box(1, 3, 2, 4, 2, 7)).lesion_mask(), believe(CLOT, beside, ELSEWHERE).lesion_mask(), VOXEL)
    assert matched.pairs.tolist() == [[1, 1], [1, 2]]
    assert matched.found.tolist() == [True, True, False]
    assert matched.clots_mm3.tolist() == [64.0, 64.0, 64.0]


def test_specks_are_neither_clots_nor_false_but_a_lesion_that_touches_one_is_not_false() -> None:
    apart = match(believe(SPECK).lesion_mask(), believe(CLOT).lesion_mask(), VOXEL)
    assert (apart.false.size, apart.found.tolist()) == (0, [False])
    around = Box(4, 6, 8, 10, 8, 10)
    touching = match(believe(around).lesion_mask(), believe(SPECK).lesion_mask(), VOXEL)
    assert (touching.clots.size, touching.false.size) == (0, 0)


def test_without_a_lesion_nothing_is_found_and_nothing_false() -> None:
    nothing = np.zeros((6, 10, 10), np.uint8)
    matched = match(nothing, believe(CLOT).lesion_mask(), VOXEL)
    assert (matched.found.tolist(), matched.false.size, matched.pairs.shape) == ([False], 0, (0, 2))
