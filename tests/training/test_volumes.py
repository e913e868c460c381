"""Packed cases, and the crops that are drawn from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Field, Findings
from cascade.datasets.case import Case
from cascade.training.packed import packed
from cascade.training.volume_change import VolumeChange, changed_hu, moved_points
from cascade.training.volumes import VolumeCrops, VolumeSampler
from segmenters.coarse import CoarseEnsemble
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest

STILL = VolumeChange(
    turn_degrees=0, tilt_degrees=0, scale=(1, 1), stretch=0, elastic=0, contrast=(1, 1), bend=0, chance=0
)
SIZE = (16, 24, 32)


def preprocess(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    return CoarseEnsemble().preprocess(hu)


def case(kind: str = "simulated", small: float = 4.0) -> Case:
    """A chest with a large clot on the right and a small one on the left."""
    study, truth = chest([RIGHT_CLOT, (*LEFT_CLOT[:3], small)])
    assert truth.embolus is not None
    x = np.indices(truth.embolus.values.shape)[2]
    right = x + truth.embolus.box.x0 < study.grid.shape[2] / 2
    numbers = np.where(truth.embolus.values > 0, np.where(right, 1, 2), 0).astype(np.uint8)
    truth = replace(truth, labels=Field(numbers, truth.embolus.box))
    return packed(Case(kind, "one", kind, study, truth))  # type: ignore[arg-type]  # a kind


def sampler(folder: Path, *cases: Case, change: VolumeChange = STILL, **crops: object) -> VolumeSampler:
    files = []
    for one in cases:
        files.append(folder / f"{one.name}.case")
        one.save(files[-1])
    return VolumeSampler(files, preprocess, VolumeCrops(size=SIZE, **crops), change)  # type: ignore[arg-type]


def test_a_packed_case_is_the_same_patient_on_two_millimetres() -> None:
    study, truth = chest([RIGHT_CLOT])
    small = packed(Case("one", "one", "simulated", study, truth))
    assert np.allclose(small.study.grid.spacing, 2.0)
    assert small.truth.embolus is not None
    assert truth.embolus is not None
    before = (truth.embolus.values > 127).sum() * study.grid.voxel_mm3
    after = (small.truth.embolus.values > 127).sum() * small.study.grid.voxel_mm3
    assert after == pytest.approx(before, rel=0.15)
    centres = [
        one.grid.to_mm(np.argwhere(known.full(one.grid.shape) > 127).mean(axis=0))
        for one, known in ((study, truth.embolus), (small.study, small.truth.embolus))
    ]
    assert np.abs(centres[0] - centres[1]).max() < 0.5


def test_clots_are_aimed_at_evenly_whatever_their_size(tmp_path: Path) -> None:
    one = case()
    assert one.truth.labels is not None
    sizes = np.bincount(one.truth.labels.values.ravel())[1:]
    assert sizes[0] > 5 * sizes[1] > 0
    drawn = sampler(tmp_path, one, clot=1.0, artery=0.0, jitter=0.0)
    aims = [drawn._aim("simulated", np.random.default_rng(i))[1] for i in range(200)]
    left = np.array([aim[2] > one.study.grid.shape[2] / 2 for aim in aims])
    assert 0.35 < left.mean() < 0.65


def test_clots_that_nobody_numbered_are_aimed_at_as_well(tmp_path: Path) -> None:
    one = case("labelled")
    bare = replace(one, truth=replace(one.truth, labels=None))
    drawn = sampler(tmp_path, bare, clot=1.0, artery=0.0, jitter=0.0)
    aims = [drawn._aim("labelled", np.random.default_rng(i))[1][2] > one.study.grid.shape[2] / 2 for i in range(40)]
    assert 8 < sum(aims) < 32, "one clot lies on either side"


def test_cases_without_clots_are_drawn_as_often_as_asked(tmp_path: Path) -> None:
    study, truth = chest([])
    none = packed(Case("none", "two", "simulated", study, truth))
    some = [replace(case(), name=f"some-{i}") for i in range(3)]
    drawn = sampler(tmp_path, *some, none, clot=0.0, artery=0.5, negative=0.6)
    aims = np.array([drawn._aim("simulated", np.random.default_rng(i))[0] for i in range(300)])
    assert 0.6 < (aims == 3).mean() < 0.8  # 0.6, and a quarter of the rest


def test_an_unchanged_crop_is_what_the_stage_sees(tmp_path: Path) -> None:
    one = case()
    view, target = sampler(tmp_path, one, clot=1.0, artery=0.0).draw(np.random.default_rng(3))
    assert view.shape == (2, *SIZE)
    assert target.shape == (2, *SIZE)
    assert view.dtype == target.dtype == np.float32
    assert target[0].max() > 0.5
    assert (target[1] >= target[0] - 0.3).all(), "clots lie in arteries"


def test_a_sample_follows_from_its_random_numbers_alone(tmp_path: Path) -> None:
    drawn = sampler(tmp_path, case(), change=VolumeChange())
    first, _, again = (drawn.draw(np.random.default_rng(seed)) for seed in (1, 2, 1))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_arteries_of_a_real_scan_are_learned_where_they_are_sure(tmp_path: Path) -> None:
    one = case("real")
    assert one.truth.arteries is not None
    doubt = np.where(one.truth.arteries.values > 127, 110, 0).astype(np.uint8)
    one = replace(one, truth=replace(one.truth, arteries=Field(doubt, one.truth.arteries.box), embolus=None))
    _, target = sampler(tmp_path, one, clot=0.0, artery=0.0, jitter=0.0).draw(np.random.default_rng(0))
    assert not (target[1] == 1).any()
    unknown = packed(Case("real", "one", "real", *chest([])))
    unknown = replace(unknown, truth=Findings(unknown.study.grid))
    _, target = sampler(tmp_path, unknown).draw(np.random.default_rng(0))
    assert np.isnan(target).all(), "neither clots nor arteries are known, and nothing is learned of them"


def test_a_crop_may_leave_the_case(tmp_path: Path) -> None:
    drawn = sampler(tmp_path, case(), change=VolumeChange(scale=(0.2, 0.2)), jitter=1.0)
    for seed in range(4):
        view, target = drawn.draw(np.random.default_rng(seed))
        assert np.isfinite(view).all()
        assert np.isfinite(target).all()


def test_points_turn_about_the_middle_and_swap_no_side() -> None:
    rng, middle = np.random.default_rng(0), np.array([50.0, 60.0, 70.0])
    for _ in range(20):
        points = moved_points(SIZE, middle, rng, VolumeChange())
        assert np.abs(points.reshape(-1, 3).mean(axis=0) - middle).max() < 4
        for axis in range(3):
            assert np.diff(points, axis=axis)[..., axis].mean() > 0.5


def test_contrast_changes_blood_and_leaves_tissue() -> None:
    hu = np.linspace(-1000, 500, 4096, dtype=np.float32).reshape(16, 16, 16)
    change = replace(VolumeChange(), chance=0.5, shift_hu=0, noise_hu=0, blur=0, sharpen=0, contrast=(2, 2), bend=0)
    got = changed_hu(hu, np.random.default_rng(0), change)
    assert np.allclose(got[hu < 60], hu[hu < 60], atol=1e-2)
    assert np.allclose(got[hu > 60], 60 + 2 * (hu[hu > 60] - 60), atol=1e-1)


def test_crops_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        sampler(tmp_path, case("labelled"), kinds={"simulated": 1.0})
    for wrong in ({"clot": 0.8, "artery": 0.5}, {"size": (0, 8, 8)}):
        with pytest.raises(UsageError):
            VolumeCrops(**wrong)
