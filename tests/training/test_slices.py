from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cascade.core.errors import InputError
from cascade.core.findings import Slices
from cascade.datasets.case import Case
from cascade.training.augment import AugmentConfig
from cascade.training.classifier import class_of
from cascade.training.slices import SliceConfig, SliceEvaluator, SliceSample, SliceSampler, collect
from classifiers import LungFilter, Siamese
from classifiers.lung_filter import LungFilterConfig
from tests.classifiers.chest import chest, truth

STILL = SliceConfig(
    shares={"no_lung": 1.0, "no_embolus": 1.0, "embolus": 1.0, "lung": 1.0},
    margin=32,
    rotate_degrees=0.0,
    quarter_turns=0.0,
    scale=(1.0, 1.0),
    shift=0.0,
    crop=0.0,
    augment=AugmentConfig(chance=0.0),
)
FILTER = LungFilter(config=LungFilterConfig(size=64, pixel_mm=5.0))


def case(name: str = "one") -> Case:
    study = chest()
    return Case(name, name, "real", study, truth(study))


def test_an_unmoved_draw_is_what_the_stage_sees() -> None:
    one = case()
    views = [FILTER.view(one.study, patch) for patch in FILTER.patches(one.study, one.truth)]
    planes = SliceSampler(collect(one, FILTER, STILL.margin), FILTER, class_of, STILL)
    drawn, _ = planes.draw(np.random.default_rng(0))
    # Slices are kept as whole HU; a view is in windows at least 400 HU wide.
    assert min(float(np.abs(drawn - view).max()) for view in views) < 0.6 / 400


def test_classes_are_drawn_by_their_shares_however_many_slices_each_has() -> None:
    config = replace(STILL, shares={"no_lung": 0.2, "no_embolus": 0.3, "embolus": 0.5})
    planes = SliceSampler(collect(case(), FILTER, STILL.margin), FILTER, class_of, config)
    rng = np.random.default_rng(0)
    drawn = Counter(class_of(planes.draw(rng)[1]) for _ in range(1000))
    assert [drawn[c] / 1000 for c in config.shares] == pytest.approx([0.2, 0.3, 0.5], abs=0.06)


def test_patients_are_drawn_alike_however_many_slices_each_has() -> None:
    many = collect(case("many"), FILTER, STILL.margin)
    few = [replace(plane, patient="few") for plane in many[:1]]
    planes = SliceSampler(many + few, FILTER, class_of, replace(STILL, shares={"no_lung": 1.0}))
    rng = np.random.default_rng(0)
    first = FILTER.preprocess(few[0].hu[None, 16:-16, 16:-16].astype(np.float32))
    same = sum(np.array_equal(planes.draw(rng)[0], first) for _ in range(300))
    assert same > 130


def test_negatives_are_matched_to_the_heights_of_positives() -> None:
    planes = collect(case(), FILTER, STILL.margin)
    levels = {p.target.tobytes() + p.hu.tobytes(): p.level for p in planes}
    assert list(levels.values()) == pytest.approx(np.arange(24) / 23)
    near = [p for p in planes if class_of(p.target) == "no_embolus" and 7 <= p.level * 23 <= 13]
    shares = {"no_embolus": 1.0}
    config = replace(STILL, shares=shares, matched={"no_embolus": "embolus"})
    views = [FILTER.preprocess(p.hu[None, 16:-16, 16:-16].astype(np.float32)) for p in near]
    hits = []
    for one in (replace(STILL, shares=shares), config):
        drawer, rng = SliceSampler(planes, FILTER, class_of, one), np.random.default_rng(0)
        drawn = [drawer.draw(rng)[0] for _ in range(200)]
        hits.append(sum(any(np.array_equal(d, v) for v in views) for d in drawn))
    assert hits[1] > 1.3 * hits[0]


def test_slices_of_which_nothing_is_known_are_left_out() -> None:
    one = case()
    unknown = replace(one, truth=replace(one.truth, slices=Slices.unknown(24), embolus=None, exam=None))
    assert collect(unknown, FILTER, 32) == []


def test_a_study_can_be_thinned_evenly() -> None:
    assert len(collect(case(), FILTER, 32, most=6)) == 6


def test_the_same_seed_draws_the_same() -> None:
    planes = SliceSampler(collect(case(), FILTER, 32), FILTER, class_of, SliceConfig(shares=STILL.shares, margin=32))
    a, b = (planes.draw(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1], equal_nan=True)


def test_a_pool_without_any_asked_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"E_NO_SLICES.*slices of other are wanted, the data have embolus, no_embolus"):
        SliceSampler(collect(case(), FILTER, 32), FILTER, class_of, SliceConfig(shares={"other": 1.0}))


def test_the_siamese_stage_draws_lung_slices_only() -> None:
    planes = collect(case(), Siamese(), 32)
    assert len(planes) == 12
    assert Counter(class_of(plane.target) for plane in planes) == {"embolus": 3, "no_embolus": 9}


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dark = (x[:, 0] < 0.5).float().mean(dim=(1, 2))
        return torch.stack([40 * (dark - 0.7), -40 * (dark - 0.7)], dim=1)


def test_a_judge_scores_each_question_on_slices_as_they_are() -> None:
    planes = [
        SliceSample(np.full((64, 64), hu, np.int16), np.array([lung, np.nan], np.float32), "real", "p")
        for hu, lung in ((-900, 1), (-850, 1), (40, 0), (60, 0))
    ]
    evaluation = SliceEvaluator(planes, FILTER, ("lung", "pe"), margin=32)(Mean())
    scored = {"lung_balanced": 1.0, "lung_auc": 1.0, "score": 1.0}
    found = {"lung_ap": 1.0, "lung_brier": pytest.approx(0.0, abs=1e-4), "lung_precision": 1.0, "lung_f1": 1.0}
    nothing = {"pe_brier": 0.0, "pe_precision": 0.0, "pe_recall": 0.0, "pe_f1": 0.0, "pe_prevalence": 0.0}
    expected = {**scored, **found, **nothing, "f1": 0.5, "loss": pytest.approx(0.0, abs=1e-4)}
    assert {name: evaluation.figures[name] for name in expected} == expected
    assert "pe_auc" not in evaluation.figures
    assert {name: counts.sum(axis=1).tolist() for name, counts in evaluation.answers.items()} == {
        "lung": [2, 2],
        "pe": [0, 0],
    }
