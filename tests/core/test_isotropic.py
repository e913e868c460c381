"""The isotropic lattice: anchored in the patient, and back on the study's voxels."""

from __future__ import annotations

import numpy as np
import pytest

from cascade.core.grid import Box, Grid
from cascade.core.isotropic import Isotropic


def whole(grid: Grid) -> Box:
    return Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])


@pytest.mark.parametrize("spacing", [(0.7, 0.6, 0.6), (2.0, 0.9, 0.9), (3.0, 1.3, 1.3), (5.0, 3.0, 3.0)])
def test_a_slope_is_the_same_slope_on_the_lattice_and_back(spacing: tuple[float, float, float]) -> None:
    grid = Grid.simple((20, 50, 60), spacing, (-7.3, 11.9, 0.4))
    mm = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    slope = (mm @ np.array([1.0, -2.0, 3.0])).astype(np.float32)
    lattice = Isotropic.over(grid, whole(grid), 2.0)
    points = lattice.grid.to_mm(np.moveaxis(np.indices(lattice.shape), 0, -1))
    inner = (slice(3, -3),) * 3
    # A tent that is not centred on a voxel leans by a few hundredths of a millimetre.
    assert np.allclose(lattice.crop(slope)[inner], (points @ np.array([1.0, -2.0, 3.0]))[inner], atol=0.3)
    back = lattice.paste(lattice.crop(slope), whole(grid))
    z, y, x = (slice(int(np.ceil(6 / s)), -int(np.ceil(6 / s))) for s in spacing)
    assert np.allclose(back[z, y, x], slope[z, y, x], atol=0.3)


def test_its_points_lie_at_multiples_of_the_step_and_within_the_box() -> None:
    grid = Grid.simple((20, 50, 60), (3.0, 0.7, 0.9), (-7.3, 11.9, 0.4))
    box = Box(3, 15, 10, 40, 5, 50)
    lattice = Isotropic.over(grid, box, 2.0)
    for axis, (low, high) in enumerate(((3, 15), (10, 40), (5, 50))):
        mm = lattice.grid.along(axis, np.arange(lattice.shape[axis]))
        assert np.allclose(mm / 2, np.rint(mm / 2))
        assert mm[0] >= grid.along(axis, low) - 1e-6
        assert mm[-1] <= grid.along(axis, high - 1) + 1e-6
        assert mm[0] - 2 < grid.along(axis, low)
        assert mm[-1] + 2 > grid.along(axis, high - 1)


def test_cropping_moves_no_point() -> None:
    rng = np.random.default_rng(0)
    grid = Grid.simple((20, 50, 60), (1.5, 0.7, 0.9), (-7.3, 11.9, 0.4))
    hu = rng.normal(0, 100, grid.shape).astype(np.float32)
    part = Grid.simple((16, 40, 50), (1.5, 0.7, 0.9), tuple(grid.to_mm(np.array([2, 6, 7]))))
    one = Isotropic.over(grid, Box(6, 14, 16, 36, 18, 45), 2.0)
    other = Isotropic.over(part, Box(4, 12, 10, 30, 11, 38), 2.0)
    assert one.first == other.first
    assert np.allclose(one.crop(hu), other.crop(hu[2:18, 6:46, 7:57]), atol=1e-2)


def test_beyond_the_voxels_is_what_is_asked_for() -> None:
    grid = Grid.simple((10, 20, 20), (2.0, 2.0, 2.0))
    lattice = Isotropic.over(grid, whole(grid), 2.0).part((-4, -4, -4), (20, 30, 30))
    cut = lattice.crop(np.full(grid.shape, 50, np.int16), fill=-1024)
    assert (cut[4:14, 4:24, 4:24] == 50).all()
    assert np.count_nonzero(cut == 50) == 10 * 20 * 20
    assert (lattice.crop(np.full(grid.shape, 50, np.int16)) == 50).all()


def test_a_study_thinner_than_a_step_has_one_point() -> None:
    grid = Grid.simple((1, 20, 20), (1.0, 2.0, 2.0), (0.0, 0.0, 0.7))
    lattice = Isotropic.over(grid, whole(grid), 2.0)
    assert lattice.shape[0] == 1
    assert np.allclose(lattice.paste(lattice.crop(np.full(grid.shape, 9)), whole(grid)), 9)
