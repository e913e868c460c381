from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cascade.anatomy.morphology import component_at, components, disc, erode, grown, largest, opened

CORNERS = np.ones((3, 3, 3))


def random_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(rng.integers(1, 9, 3)) < rng.uniform(0, 0.6)


def two_pieces() -> np.ndarray:
    mask = np.zeros((4, 6, 6), bool)
    mask[0, 0, 0] = True
    mask[1:3, 1:4, 1:4] = True  # joined to the voxel before by a corner
    mask[3, 5, 5] = True
    return mask


def test_a_corner_joins_26_neighbours_and_not_6() -> None:
    assert components(two_pieces(), 26)[1].tolist() == [0, 19, 1]
    assert sorted(components(two_pieces(), 6)[1].tolist()) == [0, 1, 1, 18]


def test_the_largest_of_an_empty_mask_is_empty() -> None:
    assert not largest(np.zeros((2, 3, 4), bool)).any()


@given(st.integers(0, 10_000), st.sampled_from([6, 26]))
def test_components_are_those_of_scipy(seed: int, connectivity: int) -> None:
    mask = random_mask(seed)
    labels, sizes = components(mask, connectivity)
    theirs, count = ndimage.label(mask, CORNERS if connectivity == 26 else None)
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), theirs.ravel(), strict=True)}
    assert len(pairs) == count + (not mask.all())
    assert sizes.sum() == mask.sum()
    one = largest(mask, connectivity)
    assert one.sum() == sizes.max()
    assert ndimage.label(one, CORNERS if connectivity == 26 else None)[1] <= 1


def test_the_first_of_several_of_one_size_is_the_largest() -> None:
    mask = np.zeros((1, 1, 5), bool)
    mask[0, 0, [0, 1, 3, 4]] = True
    assert largest(mask).ravel().tolist() == [True, True, False, False, False]


def test_the_component_at_a_voxel_is_empty_outside_the_mask() -> None:
    assert component_at(two_pieces(), (2, 2, 2)).sum() == 18
    assert not component_at(two_pieces(), (0, 5, 0)).any()


def test_slices_are_eroded_grown_and_opened_each_by_itself() -> None:
    mask = np.ones((2, 9, 9), bool)
    mask[1] = False
    mask[1, 4, 4] = True
    assert erode(mask, 1).sum(axis=(1, 2)).tolist() == [81, 0]  # the edge of the picture erodes nothing
    assert grown(mask[1]).sum() == 9
    assert opened(mask, disc(1)).sum(axis=(1, 2)).tolist() == [81, 0]


@pytest.mark.parametrize("radius", [1, 4])
def test_a_disc_has_its_radius_on_each_axis(radius: int) -> None:
    assert disc(radius).shape == (2 * radius + 1, 2 * radius + 1)
    assert disc(radius)[radius].all()
