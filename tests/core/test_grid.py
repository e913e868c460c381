from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.core.grid import Box, Grid, Order
from cascade.core.patch import Patch
from cascade.core.study import Study
from cascade.core.windows import AIR_HU

orders = st.builds(
    Order,
    st.permutations([0, 1, 2]).map(tuple),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
spacings = st.tuples(*(st.floats(0.3, 5.0) for _ in range(3)))


@given(orders)
def test_an_order_is_undone_by_its_inverse(order: Order) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(order.undo(order.apply(array)), array)


@given(orders, spacings)
def test_however_a_volume_is_stored_its_voxels_keep_their_place_in_the_patient(order: Order, spacing: tuple) -> None:
    truth = Grid.simple((3, 4, 5), spacing, (-20.0, 7.0, 100.0))
    marks = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    stored_grid = Grid(truth.shape, truth.affine, order)
    stored = order.undo(marks)
    grid = Grid.from_source(stored.shape, stored_grid.source_affine)
    assert np.array_equal(grid.to_grid(stored), marks)
    assert np.allclose(grid.affine, truth.affine)
    assert np.array_equal(grid.to_source(marks), stored)


def test_axes_run_to_the_head_to_the_back_and_to_the_left() -> None:
    grid = Grid.simple((10, 10, 10), (2.0, 1.0, 0.5))
    assert np.allclose(grid.to_mm(np.array([1, 0, 0])), (0, 0, 2))
    assert np.allclose(grid.to_mm(np.array([0, 1, 0])), (0, 1, 0))
    assert np.allclose(grid.to_mm(np.array([0, 0, 1])), (0.5, 0, 0))


@given(st.integers(0, 12), st.integers(0, 6))
def test_cropping_a_study_does_not_choose_other_slices(below: int, above: int) -> None:
    whole = Grid.simple((60, 8, 8), (0.7, 1.0, 1.0), (0.0, 0.0, -13.3))
    part = Grid.simple((60 - below - above, 8, 8), (0.7, 1.0, 1.0), (0.0, 0.0, -13.3 + 0.7 * below))
    chosen = {round(float(whole.z_mm[z]), 3) for z in whole.every(2.0)}
    again = {round(float(part.z_mm[z]), 3) for z in part.every(2.0)}
    inner = sorted(again)[1:-1]  # only the ends may differ: their cell is cut
    assert chosen.issuperset(inner)


def test_slices_further_apart_than_the_stride_are_all_chosen() -> None:
    assert Grid.simple((7, 4, 4), (5.0, 1.0, 1.0)).every(2.0) == list(range(7))


@given(st.integers(0, 30), st.integers(0, 30))
def test_cropping_air_away_does_not_move_a_frame_in_the_patient(top: int, left: int) -> None:
    whole = Grid.simple((1, 100, 100), (1.0, 0.7, 0.8), (-40.0, -33.0, 0.0))
    part = Grid.simple((1, 100 - top, 100 - left), (1.0, 0.7, 0.8), (-40.0 + 0.8 * left, -33.0 + 0.7 * top, 0.0))
    a = whole.patch(0, (60.0, 55.0), 1.25, (32, 48))
    b = part.patch(0, (60.0 - top, 55.0 - left), 1.25, (32, 48))
    assert np.allclose((a.y, a.x), (b.y + top, b.x + left), atol=1e-6)


def test_a_frame_reads_a_plane_where_it_says() -> None:
    rows, columns = np.mgrid[0:50, 0:60].astype(np.float32)
    patch = Patch(0, 10.0, 5.5, (1.0, 1.0), (8, 9))
    assert np.allclose(patch.crop(rows), 10 + np.arange(8)[:, None] + np.zeros(9), atol=1e-4)
    assert np.allclose(patch.crop(columns), 5.5 + np.arange(9)[None, :] + np.zeros((8, 1)), atol=1e-4)


def test_a_frame_beyond_the_plane_sees_air() -> None:
    patch = Patch(0, -20.0, -20.0, (1.0, 1.0), (10, 10))
    assert (patch.crop(np.zeros((30, 30), np.int16)) == AIR_HU).all()


@settings(max_examples=25)
@given(st.floats(-5, 5), st.floats(0.6, 3.0))
def test_pasting_brings_a_cut_back_to_its_voxels(first: float, step: float) -> None:
    rows, columns = np.mgrid[0:80, 0:80].astype(np.float32)
    smooth = np.sin(rows / 15) + np.cos(columns / 12)
    size = (int(90 / step) + 4, int(90 / step) + 4)
    patch = Patch(0, first - 4, first - 4, (step, step), size)
    back = patch.paste(patch.crop(smooth), (10, 70), (10, 70))
    assert np.abs(back - smooth[10:70, 10:70]).max() < 0.1


def test_coarse_frames_average_noise_away() -> None:
    noise = np.random.default_rng(0).normal(0, 100, (200, 200)).astype(np.float32)
    assert Patch(0, 0.0, 0.0, (3.0, 3.0), (60, 60)).crop(noise).std() < 50


@given(st.floats(0.5, 4.0), st.integers(0, 39))
def test_the_weights_of_a_level_add_up_to_one(spacing: float, z: int) -> None:
    for level in Grid.simple((40, 4, 4), (spacing, 1, 1)).slab(z, 5, 2.0):
        assert sum(level.values()) == pytest.approx(1)
        assert all(0 <= i < 40 for i in level)


def test_a_box_around_a_mask_is_half_open() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[1:3, 2:5, 4] = True
    assert Box.around(mask) == Box(1, 3, 2, 5, 4, 5)
    assert Box.around(np.zeros((2, 2, 2), bool)) is None


def test_a_study_has_one_id_whichever_way_its_source_ran() -> None:
    hu = np.zeros((3, 4, 5), np.int16)
    plain = Grid.simple((3, 4, 5), (2.0, 1.0, 1.0))
    negative = np.where(plain.affine == 0, -0.0, plain.affine)
    assert Study(hu, plain).id == Study(hu, Grid((3, 4, 5), negative)).id
