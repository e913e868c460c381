"""Clots painted into a scan's own arteries."""

from __future__ import annotations

import numpy as np
import pytest

from cascade.core.findings import Field, Findings
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.simulation import Simulation, SimulationError
from cascade.simulation.paint_into import find_arteries, paint_into


def scan() -> tuple[Study, Field]:
    """A bright tube that forks into the patient's right and left, in soft tissue with noise."""
    grid = Grid.simple((60, 80, 120), (1.5, 1.0, 1.0))
    z, y, x = np.indices(grid.shape)
    stem = (z < 30) & ((y - 40) ** 2 + (x - 60) ** 2 < 100)
    arms = (np.abs(z - 30) * 1.5 < 8) & ((y - 40) ** 2 + ((z - 30) * 1.5) ** 2 < 64) & (np.abs(x - 60) < 50)
    artery = stem | arms
    noise = np.random.default_rng(0).normal(0, 10, grid.shape)
    whole = Box(0, 60, 0, 80, 0, 120)
    return Study((np.where(artery, 350, 40) + noise).astype(np.int16), grid), Field(
        (255 * artery).astype(np.uint8), whole
    )


def test_a_painted_clot_is_dark_lies_in_the_artery_and_leaves_the_rest_as_it_was() -> None:
    study, arteries = scan()
    painted, truth = paint_into(study, Findings(study.grid), find_arteries(study, arteries), Simulation(), 3)
    clot = truth.mask()
    assert clot.any()
    assert arteries.values[clot].mean() > 0.95 * 255
    assert painted.hu[clot].mean() < 160 < study.hu[clot].mean()
    assert np.array_equal(painted.hu[arteries.values == 0][::7], study.hu[arteries.values == 0][::7]) or (
        np.abs(painted.hu.astype(int) - study.hu)[arteries.values == 0].mean() < 1
    )


def test_painted_clots_keep_away_from_outlined_ones_and_the_truth_holds_both() -> None:
    study, arteries = scan()
    drawn = np.zeros(study.grid.shape, np.uint8)
    drawn[26:34, 36:44, 20:50] = 255
    known = Findings(study.grid, embolus=Field(drawn, arteries.box))
    found = find_arteries(study, arteries, known.embolus)
    painted, truth = paint_into(study, known, found, Simulation(), 3)
    assert truth.mask()[drawn > 0].all()
    assert np.array_equal(painted.hu[drawn > 0], study.hu[drawn > 0])
    new = truth.mask() & (drawn == 0)
    assert new.any()
    z, y, x = np.indices(new.shape)
    gap = np.maximum.reduce([1.5 * np.maximum(26 - z, z - 33), np.maximum(36 - y, y - 43), np.maximum(20 - x, x - 49)])
    assert gap[new].min() >= 7
    assert len(truth.lesions) >= 2
    assert sum(lesion.voxels for lesion in truth.lesions) == np.count_nonzero(truth.mask())


def test_a_readers_outlines_of_more_pieces_than_a_byte_counts_are_kept_apart() -> None:
    study, arteries = scan()
    specks = np.zeros(study.grid.shape, np.uint8)
    specks[2:54:4, 2:110:5, 2:30:9] = 255
    assert np.count_nonzero(specks) > 600
    known = Findings(study.grid, embolus=Field(specks, arteries.box))
    _, truth = paint_into(study, known, find_arteries(study, arteries), Simulation(emboli=(1, 1)), 3)
    assert len(truth.lesions or ()) > np.count_nonzero(specks)
    numbers = np.unique(truth.lesion_mask())
    assert numbers.tolist() == list(range(len(truth.lesions or ()) + 1))


def test_the_lesions_of_a_painted_scan_are_listed_with_their_volume() -> None:
    study, arteries = scan()
    _, truth = paint_into(study, Findings(study.grid), find_arteries(study, arteries), Simulation(), 3)
    assert truth.lesions
    assert sum(lesion.voxels for lesion in truth.lesions) == np.count_nonzero(truth.lesion_mask())


def test_clots_that_touch_take_the_blood_at_their_rims_away_once() -> None:
    study, arteries = scan()
    found = find_arteries(study, arteries)
    many = Simulation(emboli=(15, 15), burden_ml=(20.0, 60.0))
    for seed in range(4):
        painted, truth = paint_into(study, Findings(study.grid), found, many, seed)
        assert len(truth.lesions or ()) > 2
        # 40 HU and ten deviations of the noise; what was taken away twice is darker than fat.
        assert painted.hu.min() > -100
        assert painted.hu[truth.mask()].min() > -20


def test_the_same_seed_paints_the_same_clots() -> None:
    study, arteries = scan()
    found = find_arteries(study, arteries)
    first, second = (paint_into(study, Findings(study.grid), found, Simulation(), 5)[0] for _ in range(2))
    assert np.array_equal(first.hu, second.hu)


def test_a_scan_without_bright_arteries_is_refused() -> None:
    study, arteries = scan()
    dark = Study(np.full(study.hu.shape, 40, np.int16), study.grid)
    with pytest.raises(SimulationError):
        find_arteries(dark, arteries)
