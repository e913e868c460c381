from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cascade.core.errors import UsageError
from cascade.core.truth import KNOWN
from cascade.simulation import LABELS, Anatomy, Simulated, Simulation, SimulationError, outline, simulate
from cascade.simulation.config import LIMITS
from tests.simulation.conftest import SMALL


def test_the_same_seed_paints_the_same_study(anatomy: Anatomy, positive: Simulated) -> None:
    again = simulate(SMALL, 3, anatomy)
    assert np.array_equal(again.study.hu, positive.study.hu)
    assert again.truth == positive.truth
    assert again.facts == positive.facts


def test_another_seed_paints_another_study(anatomy: Anatomy, positive: Simulated) -> None:
    other = simulate(SMALL, 4, anatomy)
    assert other.study.hu.shape != positive.study.hu.shape or not np.array_equal(other.study.hu, positive.study.hu)


def test_emboli_without_the_picture_are_those_of_the_study(anatomy: Anatomy, positive: Simulated) -> None:
    numbers, spacing = outline(SMALL, 3, anatomy)
    assert np.array_equal(numbers > 0, positive.truth.mask())
    assert spacing == pytest.approx(positive.study.grid.spacing)


def test_clots_lie_inside_arteries(positive: Simulated) -> None:
    mask = positive.truth.mask()
    assert mask.any()
    assert (positive.labels[mask] == LABELS["artery"]).all()
    assert positive.truth.arteries is not None
    assert (positive.truth.arteries.full(mask.shape)[mask] == 255).all()


def test_clots_are_darker_than_the_blood_around_them(positive: Simulated) -> None:
    mask = positive.truth.mask()
    hu = positive.study.hu
    blood = hu[(positive.labels == LABELS["artery"]) & ~mask]
    assert np.median(hu[mask]) < 160
    assert np.median(blood) > np.median(hu[mask]) + 60


def test_lesions_add_up_to_the_mask(positive: Simulated) -> None:
    lesions = positive.truth.lesions
    assert lesions
    assert sum(n.voxels for n in lesions) == positive.truth.mask().sum()
    named = positive.truth.lesion_mask()
    for lesion in lesions:
        at = np.argwhere(named == lesion.number)
        assert len(at) == lesion.voxels
        assert lesion.slices == (at[:, 0].min(), at[:, 0].max())
        assert lesion.volume_mm3 == pytest.approx(lesion.voxels * positive.study.grid.voxel_mm3)


def test_slices_know_where_clots_are(positive: Simulated) -> None:
    assert positive.truth.slices is not None
    assert np.array_equal(positive.truth.slices.pe[KNOWN] > 0, positive.truth.mask().any((1, 2)))


def test_a_study_without_emboli_has_an_empty_truth(anatomy: Anatomy) -> None:
    config = dataclasses.replace(SMALL, positive=0.0)
    made = simulate(config, 3, anatomy)
    assert not made.truth.mask().any()
    assert not outline(config, 3, anatomy)[0].any()
    assert made.truth.lesions == ()
    assert made.truth.exam is not None
    assert made.truth.exam.decision == "negative"
    assert made.facts["emboli"] == []


def test_the_right_lung_lies_at_low_x(positive: Simulated) -> None:
    assert positive.truth.lungs is not None
    right, left = (np.nanmean(positive.truth.lungs.boxes[:, i, [0, 2]]) for i in (0, 1))
    assert right < left


def test_the_side_of_a_lesion_is_where_its_voxels_are(positive: Simulated) -> None:
    assert positive.truth.lungs is not None
    assert positive.truth.lesions
    boxes = positive.truth.lungs.boxes
    middle = np.nanmean((boxes[:, 0, 2] + boxes[:, 1, 0]) / 2)
    named = positive.truth.lesion_mask()
    for lesion in positive.truth.lesions:
        x = np.argwhere(named == lesion.number)[:, 2].mean()
        if lesion.side != "both":
            assert (x < middle) == (lesion.side == "right")


def test_air_lung_blood_and_bone_have_their_hu(positive: Simulated) -> None:
    hu, labels = positive.study.hu, positive.labels
    assert np.median(hu[labels == 0]) < -950
    assert -950 < np.median(hu[labels == LABELS["lung"]]) < -700
    assert np.percentile(hu[labels == LABELS["bone"]], 90) > 250
    assert hu.min() >= -1024
    assert hu.max() <= 3071


def test_the_region_holds_lungs_and_clots(positive: Simulated) -> None:
    assert positive.truth.lungs is not None
    region = positive.truth.lungs.region
    assert region is not None
    inside = np.zeros(positive.study.grid.shape, bool)
    inside[region.slices] = True
    assert inside[positive.labels == LABELS["lung"]].all()
    assert inside[positive.truth.mask()].all()


def test_spacing_follows_the_config(positive: Simulated) -> None:
    assert positive.study.grid.spacing[0] == pytest.approx(3.0)
    assert positive.study.hu.shape[1:] == (160, 160)
    assert positive.study.hu.dtype == np.int16


def test_the_procedural_anatomy_needs_no_file() -> None:
    made = simulate(SMALL, 1)
    assert made.facts["anatomy"] == "procedural"
    assert made.truth.mask().any()


NAN = float("nan")


def _made(settings: dict[str, Any]) -> Simulation:
    return Simulation(**settings)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"canvas_mm": 0.1}, "canvas_mm is 0.1; it must be from 0.4 to 4"),
        ({"matrix": 8}, "matrix is 8; it must be from 32 to 2048"),
        ({"positive": 1.5}, "positive is 1.5; it must be from 0 to 1"),
        ({"crop": NAN}, "crop is nan; it must be from 0 to 1"),
        ({"emboli": (3, 1)}, r"emboli is \[3, 1\]; write the lower number first"),
        ({"emboli": (1, 300)}, r"emboli is \[1, 300\]; each number must be from 0 to 50"),
        ({"nodes": (5, 2)}, "nodes is .* write the lower number first"),
        ({"contrast_hu": (500.0, 100.0)}, r"contrast_hu is \[500, 100\]; write the lower number first"),
        ({"noise_hu": (-5.0, 10.0)}, r"noise_hu is \[-5, 10\]; each number must be from 0.1 to 200"),
        ({"noise_hu": (0.0, 10.0)}, "noise_hu is .* from 0.1 to 200"),
        ({"noise_hu": (10.0, NAN)}, r"noise_hu is \[10, nan\]; each number"),
        ({"clot_hu": (35.0, 300.0)}, "clot_hu is .* from 15 to 130"),
        ({"occlusive": (0.5, 2.0)}, "occlusive is .* from 0 to 1"),
        ({"slice_mm": (0.0,), "slice_weights": (1.0,)}, "slice_mm is .* from 0.3 to 10"),
        ({"slice_mm": (100.0,), "slice_weights": (1.0,)}, "slice_mm is .* from 0.3 to 10"),
        ({"slice_mm": (), "slice_weights": ()}, "slice_mm is empty; give at least one number"),
        (
            {"slice_mm": (1.0,), "slice_weights": (0.5, 0.5)},
            "slice_mm has 1 distances and slice_weights 2; give each",
        ),
        ({"slice_mm": (1.0,), "slice_weights": (0.0,)}, "slice_weights is .* one of them must be over 0"),
        ({"slice_mm": (1.0, 2.0), "slice_weights": (2.0, -1.0)}, "slice_weights is .* from 0 to 1000"),
        ({"timing": (0.0, 0.0, 0.0)}, "timing is .* one of them must be over 0"),
        ({"rotation_deg": -5.0}, "rotation_deg is -5; it must be from 0 to 45"),
        ({"scale": (0.0, 1.0)}, "scale is .* from 0.5 to 2"),
        ({"fov_mm": (10.0, 20.0)}, "fov_mm is .* from 200 to 700"),
        ({"mimics": float("inf")}, "mimics is inf; it must be from 0 to 5"),
    ],
)
def test_a_config_that_nothing_can_be_drawn_from_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SimulationError, match=f"simulation.{told}"):
        _made(wrong)


def test_every_setting_has_limits_around_its_default() -> None:
    names = {field.name for field in dataclasses.fields(Simulation)}
    assert set(LIMITS) < names
    for name in names:
        value = getattr(Simulation(), name)
        numbers = value if isinstance(value, tuple) else (value,)
        for outside in (-1e6, 1e6, NAN):
            wrong = tuple(outside for _ in numbers) if isinstance(value, tuple) else outside
            with pytest.raises(SimulationError, match=f"simulation.{name} is .* must be from"):
                _made({name: wrong})


@pytest.mark.parametrize("seed", range(3))
def test_exam_labels_keep_the_rules_of_the_rsna_challenge(anatomy: Anatomy, seed: int) -> None:
    exam = simulate(dataclasses.replace(SMALL, chronic=0.5), seed, anatomy).truth.exam
    assert exam is not None
    labels = exam.labels
    assert labels is not None
    assert len(labels) == 9
    assert labels["rv_lv_ratio_gte_1"] + labels["rv_lv_ratio_lt_1"] == 1
    assert labels["central_pe"] + labels["rightsided_pe"] + labels["leftsided_pe"] >= 1
    assert labels["chronic_pe"] + labels["acute_and_chronic_pe"] <= 1
    assert labels["negative_exam_for_pe"] + labels["indeterminate"] == 0


def test_an_exam_without_emboli_has_one_label(anatomy: Anatomy) -> None:
    negative = simulate(dataclasses.replace(SMALL, positive=0.0), 3, anatomy)
    assert negative.truth.exam is not None
    labels = negative.truth.exam.labels or {}
    assert {name for name, value in labels.items() if value} == {"negative_exam_for_pe"}


def test_devices_change_hu_and_no_truth(anatomy: Anatomy, positive: Simulated) -> None:
    none, many = (simulate(dataclasses.replace(SMALL, devices=n), 3, anatomy) for n in (0.0, 4.0))
    assert np.array_equal(none.labels, many.labels)
    assert np.array_equal(none.truth.mask(), many.truth.mask())
    brighter = many.study.hu.astype(int) - none.study.hu > 500
    assert brighter.sum() > 20
    assert many.study.hu.max() > none.study.hu.max()


def test_scars_lie_in_the_lung(anatomy: Anatomy) -> None:
    clean, scarred = (simulate(dataclasses.replace(SMALL, fibrosis=n), 3, anatomy) for n in (0.0, 1.0))
    brighter = scarred.study.hu.astype(int) - clean.study.hu > 120
    assert brighter.sum() > 50
    assert (clean.labels[brighter] == LABELS["lung"]).mean() > 0.9


@pytest.mark.slow
def test_bronchi_in_the_lung_run_beside_arteries() -> None:
    fine = dataclasses.replace(SMALL, canvas_mm=1.0, matrix=384, slice_mm=(2.0,))
    made = simulate(fine, 3)
    labels, spacing = made.labels, made.study.grid.spacing
    lung = ndimage.binary_erosion(ndimage.binary_closing(labels == LABELS["lung"], iterations=3), iterations=3)
    bronchi = (labels == LABELS["airway"]) & lung
    assert bronchi.sum() > 300
    artery, vein = (
        ndimage.distance_transform_edt(labels != LABELS[name], sampling=spacing)[bronchi] for name in ("artery", "vein")
    )
    assert np.median(artery) < 4
    assert np.median(artery) < 0.5 * np.median(vein)


@pytest.mark.parametrize(("config", "seed"), [(None, 1), (SMALL, "x"), (SMALL, -1)])
def test_what_is_no_config_or_no_seed_ended_in_a_raw_error(config: Any, seed: Any) -> None:
    with pytest.raises(UsageError, match="E_USAGE: a study is simulated from a Simulation and a whole number"):
        simulate(config, seed)
