from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cascade.bench import sheets
from cascade.bench.realism import compare, figures
from cascade.core.grid import Grid
from cascade.core.study import Study


def _chest(sigma_px: float, noise: float) -> Study:
    """Two lungs in a block of soft tissue, with noise of a known width."""
    rng = np.random.default_rng(0)
    grid = Grid.simple((24, 256, 256), (3.0, 1.4, 1.4))
    hu = np.full(grid.shape, -1000.0)
    hu[:, 30:226, 20:236] = 50.0
    hu[:, 70:190, 40:110] = hu[:, 70:190, 146:216] = -850.0
    hu = ndimage.gaussian_filter(hu, (0, 0.7, 0.7))
    grain = ndimage.gaussian_filter(rng.standard_normal(grid.shape), (0, sigma_px, sigma_px))
    return Study(np.rint(hu + noise * grain / grain.std()).astype(np.int16), grid)


def test_noise_and_its_likeness_are_those_that_were_put_in() -> None:
    fine, coarse = figures(_chest(0.3, 15.0)), figures(_chest(0.9, 25.0))
    assert fine["muscle noise HU"] == pytest.approx(15.0, rel=0.15)
    assert 15.0 < (coarse["muscle noise HU"] or 0) < 25.0  # the surface that is taken away holds some coarse noise
    assert (coarse["muscle px corr"] or 0) > (fine["muscle px corr"] or 0) + 0.3
    assert abs(fine["muscle slice corr"] or 0) < 0.05


def test_an_edge_is_as_wide_as_it_was_blurred() -> None:
    width = figures(_chest(0.3, 5.0))["edge 10-90% mm"]
    assert width == pytest.approx(2.56 * 0.7 * 1.4, rel=0.25)


def test_what_a_study_does_not_show_has_no_figure() -> None:
    assert figures(_chest(0.3, 5.0))["blood noise HU"] is None


def test_real_values_between_the_simulated_ones_are_counted() -> None:
    rows = compare({"a": {"x": 1.0}, "b": {"x": 9.0}}, [{"x": float(i)} for i in range(4)])
    assert rows[0]["inside"] == "1 of 2"


def test_a_sheet_shows_every_study_at_every_level_and_scale() -> None:
    levels = ["hilum", "dome"]
    rows = [(name, sheets.tiles(_chest(0.3, noise), "lung", 64, levels)) for name, noise in (("a", 5.0), ("b", 9.0))]
    picture = sheets.sheet(rows, levels)
    assert picture.shape == (sheets.BORDER + 2 * (64 + sheets.GAP), sheets.BORDER + 2 * (64 + sheets.GAP))
    dark, bright = rows[0][1][0][32, 20], rows[0][1][0][32, 32]  # lung, and what lies between the lungs
    assert dark < 100 < bright
