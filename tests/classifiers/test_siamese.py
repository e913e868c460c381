from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cascade.core.findings import Findings, Lungs, Slices
from cascade.core.grid import Box
from classifiers import Siamese
from classifiers.siamese_stage import SiameseConfig, top_spread
from tests.classifiers.chest import chest, cropped, net_of, single_slice, truth

EVERY = SiameseConfig(stride_mm=0.0)


def seen_by_filter(lung: NDArray[np.float32]) -> Slices:
    return replace(Slices.unknown(len(lung)), lung=lung)


def with_lungs(lung: NDArray[np.float32]) -> Findings:
    return Findings(chest(len(lung)).grid, slices=seen_by_filter(lung))


def brightness(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return batch.mean(axis=(1, 2, 3))[:, None]


def test_a_perfect_network_gives_the_truth_back_on_the_lung_slices() -> None:
    study, stage = chest(), Siamese(config=EVERY)
    known = truth(study)
    assert known.slices is not None
    before = Findings(study.grid, slices=seen_by_filter(known.slices.lung))
    patches = stage.patches(study, before)
    found = stage.postprocess(study, before, [(f, stage.target(study, known, f)) for f in patches]).slices
    assert found is not None
    lung = known.slices.lung > 0.5
    assert np.array_equal(found.pe["siamese"][lung], known.slices.suspicion[lung])
    assert np.isnan(found.pe["siamese"][~lung]).all()


def test_every_lung_slice_has_a_score_when_only_some_were_looked_at() -> None:
    study, stage = chest(), Siamese(net_of(brightness), SiameseConfig(stride_mm=5.0))
    lung = np.array([6 <= z < 18 for z in range(24)], np.float32)
    before = Findings(study.grid, slices=seen_by_filter(lung))
    assert len(stage.patches(study, before)) == 6
    found = stage(study, before).slices
    assert found is not None
    assert np.array_equal(np.isfinite(found.pe["siamese"]), lung > 0.5)


def test_all_slices_are_scored_when_the_filter_was_left_out() -> None:
    study = chest()
    found = Siamese(net_of(brightness))(study, Findings(study.grid)).slices
    assert found is not None
    assert np.isfinite(found.pe["siamese"]).all()
    assert np.isnan(found.lung).all()


def test_a_study_without_lung_slices_is_not_looked_at() -> None:
    study, before = chest(), with_lungs(np.zeros(24, np.float32))
    stage = Siamese(net_of(brightness))
    assert stage.patches(study, before) == []
    found = stage(study, before).slices
    assert found is not None
    assert np.isnan(found.pe["siamese"]).all()


def test_a_single_slice_is_scored() -> None:
    study = single_slice()
    found = Siamese(net_of(brightness))(study, Findings(study.grid)).slices
    assert found is not None
    assert np.isfinite(found.pe["siamese"]).all()


def test_top_slices_keep_the_order_along_z() -> None:
    lung = np.linspace(0.6, 1, 24, dtype=np.float32)[np.random.default_rng(0).permutation(24)]
    stage = Siamese(config=SiameseConfig(stride_mm=0.0, top_slices=7))
    z = [f.z for f in stage.patches(chest(), with_lungs(lung))]
    assert z == sorted(z)
    assert set(z) == set(np.argsort(lung)[-7:].tolist())


def test_top_slices_spread_ties_evenly_along_z() -> None:
    stage = Siamese(config=SiameseConfig(stride_mm=0.0, top_slices=6))
    z = [f.z for f in stage.patches(chest(), with_lungs(np.ones(24, np.float32)))]
    assert z == [2, 6, 10, 14, 18, 22]


def test_only_the_top_slices_are_scored() -> None:
    stage = Siamese(net_of(brightness), SiameseConfig(stride_mm=0.0, top_slices=6))
    found = stage(chest(), with_lungs(np.ones(24, np.float32))).slices
    assert found is not None
    assert np.flatnonzero(np.isfinite(found.pe["siamese"])).tolist() == [2, 6, 10, 14, 18, 22]


@given(st.lists(st.sampled_from([0.5, 0.7, 0.9, 1.0]), max_size=40), st.integers(0, 30))
def test_top_slices_are_as_many_as_asked_and_none_is_lower_than_one_left_out(lung: list[float], count: int) -> None:
    chosen = top_spread(np.array(lung, np.float32), count)
    assert len(chosen) == min(count, len(lung))
    assert sorted(set(chosen.tolist())) == chosen.tolist()
    left_out = [p for i, p in enumerate(lung) if i not in chosen]
    assert not len(chosen) or not left_out or min(lung[i] for i in chosen) >= max(left_out)


def test_pictures_lie_around_the_lung_region() -> None:
    study = chest()
    boxes = np.full((24, 2, 4), np.nan, np.float32)
    found = Findings(study.grid, lungs=Lungs(boxes, Box(6, 18, 20, 60, 10, 50)))
    patch = Siamese().patches(study, found)[0]
    middle = [start + step * 112 for start, step in zip((patch.y, patch.x), patch.step, strict=True)]
    assert np.abs(np.array(middle) - [39.5, 29.5]).max() < 0.5


def test_air_cropped_away_gives_the_same_pictures() -> None:
    study, stage = chest(), Siamese()
    smaller = cropped(study, Box(0, 24, 7, 75, 5, 96))
    views = [np.stack([s.view for s in stage.prepare(one, Findings(one.grid))]) for one in (study, smaller)]
    assert np.abs(views[0] - views[1]).max() < 1e-4


def test_order_and_company_change_no_answer() -> None:
    stage = Siamese(net_of(brightness))
    batch = np.random.default_rng(0).random((8, 3, 16, 16), dtype=np.float32)
    order = np.random.default_rng(1).permutation(8)
    assert np.array_equal(stage.predict(batch)[order], stage.predict(batch[order]))
