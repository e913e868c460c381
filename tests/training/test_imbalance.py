from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.bundle import Bundle
from cascade.core.errors import UsageError
from cascade.core.findings import Field, Findings
from cascade.core.grid import Box, Grid
from cascade.core.patch import Patch
from cascade.core.study import Study
from cascade.datasets.case import Case
from cascade.training.augment import AugmentConfig
from cascade.training.crops import CropConfig, Crops
from cascade.training.imbalance import ImbalanceConfig, sampler
from cascade.training.imbalance.arteries import found_arteries
from cascade.training.imbalance.lungs import cut_to_lungs
from cascade.training.imbalance.mosaic import Mosaic
from cascade.training.imbalance.ratio import target_ratio, weights
from cascade.training.imbalance.replicate import Replicate
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble
from tests.segmenters.test_embolus_stage import study_with_ball
from tests.small_bundle import small_bundle

STAGE = EmbolusEnsemble(config=EmbolusConfig(tile=(64, 64)))
GRID = Grid.simple((12, 64, 64), (2.0, 1.25, 1.25))
STILL = AugmentConfig(chance=0.0, rotate_degrees=0, scale=(1.0, 1.0))


def scan(clot: slice | None, artery: slice = slice(8, 56)) -> Case:
    """An artery along x at rows 28 to 36, 300 HU, with a clot of 50 HU in some columns."""
    hu, arteries, embolus = np.full(GRID.shape, -800, np.int16), *(np.zeros(GRID.shape, np.uint8) for _ in range(2))
    hu[3:9, 28:36, artery], arteries[3:9, 28:36, artery] = 300, 255
    if clot is not None:
        hu[4:8, 29:35, clot], embolus[4:8, 29:35, clot] = 50, 255
    whole = Box(0, 12, 0, 64, 0, 64)
    truth = Findings(GRID, embolus=Field(embolus, whole), arteries=Field(arteries, whole))
    return Case(f"{clot}", f"{clot}", "simulated", Study(hu, GRID), truth)


WITH, WITHOUT = scan(slice(20, 28)), scan(None)
MIDDLE = Patch(6, 0.0, 0.0, (1.0, 1.0), (64, 64))


def test_a_replicated_embolus_lies_in_an_artery_and_is_as_dark_as_it_was() -> None:
    replicate = Replicate([WITH, WITHOUT], STAGE, 1.0)
    hu, target = STAGE.crop(WITHOUT.study, MIDDLE), STAGE.target(WITHOUT.study, WITHOUT.truth, MIDDLE)
    copies = [replicate(WITHOUT, MIDDLE, hu, target, np.random.default_rng(seed)) for seed in range(12)]
    places = {tuple(np.argwhere(t[0] >= 0.5).mean(axis=0).round()) for _, t in copies if (t[0] >= 0.5).any()}
    assert len(places) > 6
    for changed, answer in copies:
        clot = answer[0] >= 0.99
        assert (target[1][clot] == 1).all()
        assert (changed[3][clot] == 50).all()
        assert np.array_equal(changed[3][answer[0] == 0], hu[3][answer[0] == 0])
    assert target[0].max() == 0
    assert hu.max() == 300


def test_nothing_is_copied_where_arteries_are_not_known_or_there_is_no_embolus() -> None:
    hu = STAGE.crop(WITHOUT.study, MIDDLE)
    blind = replace(WITHOUT, truth=replace(WITHOUT.truth, arteries=None))
    for donors, case in (([WITH], blind), ([WITHOUT], WITHOUT)):
        target = STAGE.target(case.study, case.truth, MIDDLE)
        same = Replicate(donors, STAGE, 1.0)(case, MIDDLE, hu, target, np.random.default_rng(0))
        assert same[0] is hu
        assert same[1] is target


def test_an_embolus_is_copied_where_networks_find_an_artery_and_the_arteries_stay_unknown() -> None:
    blind = replace(WITHOUT, truth=replace(WITHOUT.truth, arteries=None))
    assert WITHOUT.truth.arteries is not None
    replicate = Replicate([WITH], STAGE, 1.0, {blind: WITHOUT.truth.arteries})
    hu, target = STAGE.crop(blind.study, MIDDLE), STAGE.target(blind.study, blind.truth, MIDDLE)
    known = STAGE.target(WITHOUT.study, WITHOUT.truth, MIDDLE)
    for seed in range(5):
        changed, answer = replicate(blind, MIDDLE, hu, target, np.random.default_rng(seed))
        theirs, sure = Replicate([WITH], STAGE, 1.0)(WITHOUT, MIDDLE, hu, known, np.random.default_rng(seed))
        assert np.array_equal(changed, theirs)
        assert np.array_equal(answer[0], sure[0])
        assert answer[0].max() > 0.9
        assert np.isnan(answer[1]).all()


def test_whoever_has_no_arteries_and_no_network_that_finds_them_is_told_so() -> None:
    told: list[str] = []
    blind = replace(WITHOUT, truth=replace(WITHOUT.truth, arteries=None))
    assert found_arteries([WITH, WITHOUT], small_bundle(), told.append) == {}
    assert not told
    assert found_arteries([WITH, blind], Bundle(), told.append) == {}
    (sentence,) = told
    assert "1 of 2 cases do not say where arteries are, so no embolus is copied into them" in sentence


def test_the_bundles_last_stage_of_voxels_finds_arteries() -> None:
    told: list[str] = []
    blind = replace(WITHOUT, truth=replace(WITHOUT.truth, arteries=None))
    found = found_arteries([WITH, blind], small_bundle("coarse", "embolus"), told.append)
    assert list(found) == [blind]
    assert "the bundle's stage embolus finds some" in told[0]


class Specks:
    """Samples with one bright point, or none."""

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        view = np.zeros((3, 32, 32), np.float32)
        if rng.random() < 0.8:
            view[:, int(rng.integers(32)), int(rng.integers(32))] = 1
        return view, view[:1].copy()


def test_a_mosaic_has_more_embolus_than_the_samples_it_is_made_of() -> None:
    def ratio(drawn: Specks | Mosaic) -> float:
        return float(np.mean([drawn.draw(np.random.default_rng(seed))[1].mean() for seed in range(200)]))

    assert ratio(Mosaic(Specks(), 1.0, 0.01)) > 3 * ratio(Specks())
    for seed in range(20):
        view, target = Mosaic(Specks(), 1.0, 0.01).draw(np.random.default_rng(seed))
        assert np.array_equal(view[0], target[0])


def test_samples_with_enough_embolus_are_left_as_they_are() -> None:
    plain = Specks().draw(np.random.default_rng(3))
    assert all(map(np.array_equal, Mosaic(Specks(), 1.0, 0.0).draw(np.random.default_rng(3)), plain))


def test_cases_are_drawn_by_their_share_of_embolus() -> None:
    little = scan(slice(20, 22))
    assert target_ratio(WITH) == pytest.approx(4 * target_ratio(little))
    assert target_ratio(WITHOUT) == 0
    more = weights([WITHOUT, little, WITH], 1.0)
    assert more == pytest.approx([1.0, 1.4, 2.6])
    assert weights([WITHOUT, little, WITH], -1.0) == pytest.approx(1 / more)
    assert weights([WITHOUT], 1.0).tolist() == [1.0]


def test_a_case_that_is_cut_to_its_lungs_holds_the_same_at_the_same_millimetres() -> None:
    study, truth = study_with_ball()
    case = Case("one", "one", "simulated", study, truth)
    small = cut_to_lungs(case)
    assert truth.lungs is not None
    assert truth.lungs.region is not None
    assert small.study.hu.shape == truth.lungs.region.shape
    where = [c.study.grid.to_mm(np.argwhere(c.truth.mask()).mean(axis=0)) for c in (case, small)]
    assert where[1] == pytest.approx(where[0])
    assert target_ratio(small) > target_ratio(case)
    assert cut_to_lungs(WITH) is WITH


def test_every_remedy_draws_by_the_samples_numbers_alone() -> None:
    for config in (
        ImbalanceConfig(ratio_power=1.0),
        ImbalanceConfig(replicate=1.0),
        ImbalanceConfig(mosaic=1.0),
        ImbalanceConfig(ratio_power=-1.0, replicate=0.5, mosaic=0.5),
    ):
        drawn = sampler([WITH, WITHOUT], STAGE, CropConfig(size=(32, 32)), AugmentConfig(), config)
        drawn.draw(np.random.default_rng(1))
        first = drawn.draw(np.random.default_rng(7))
        drawn.draw(np.random.default_rng(2))
        assert all(map(np.array_equal, drawn.draw(np.random.default_rng(7)), first))


def test_without_a_remedy_crops_are_drawn_as_ever() -> None:
    crops = CropConfig(size=(32, 32))
    plain = Crops([WITH, WITHOUT], STAGE, crops, STILL)
    drawn = sampler([WITH, WITHOUT], STAGE, crops, STILL, ImbalanceConfig())
    for seed in range(5):
        pair = (one.draw(np.random.default_rng(seed)) for one in (plain, drawn))
        assert all(map(np.array_equal, *pair))


def test_a_probability_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"imbalance\.mosaic is 2"):
        ImbalanceConfig(mosaic=2.0)
