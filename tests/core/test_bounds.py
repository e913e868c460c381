from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from cascade.core import bounds
from cascade.core.bounds import Bound
from cascade.core.errors import UsageError
from cascade.training.augment import AugmentConfig
from cascade.training.crops import CropConfig
from cascade.training.images import ImageConfig
from cascade.training.imbalance import ImbalanceConfig
from cascade.training.losses import LossConfig
from cascade.training.plan import Plan
from cascade.training.slices import SliceConfig
from detectors.pictures import Looks
from detectors.training import DetectorTraining


@pytest.mark.parametrize(
    ("bound", "held", "broken"),
    [
        (bounds.COUNT, [1, 7], [0, -1, math.inf, math.nan]),
        (bounds.POSITIVE, [1e-9, 7], [0, -1, math.inf, math.nan]),
        (bounds.NOT_NEGATIVE, [0, 7.5], [-1e-9, math.inf, math.nan]),
        (bounds.FINITE, [-3, 0], [math.inf, -math.inf, math.nan]),
        (bounds.SHARE, [0, 0.5, 1], [-0.1, 1.1, math.nan]),
        (bounds.SHARE_BELOW_1, [0, 0.99], [1, -0.1, math.nan]),
        (bounds.RANGE, [(1, 1), (0.5, 2)], [(0, 1), (2, 1), (1, math.inf), (math.nan, 1)]),
        (bounds.WEIGHTS, [{}, {"a": 0.0, "b": 2.0}], [{"a": -1.0}, {"a": math.inf}, {"a": math.nan}]),
    ],
    ids=lambda one: one.text if isinstance(one, Bound) else "",
)
def test_a_bound_holds_what_it_says_and_never_infinity(bound: Bound, held: list[Any], broken: list[Any]) -> None:
    assert all(bound.holds(value) for value in held)
    assert not any(bound.holds(value) for value in broken)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (Plan(), "steps", 0),
        (Plan(), "minutes", math.inf),
        (Plan(), "ema", 1.0),
        (AugmentConfig(), "blur", -0.1),
        (AugmentConfig(), "rotate_degrees", math.inf),
        (AugmentConfig(), "scale", (1.2, 0.8)),
        (AugmentConfig(), "contrast", (0.5, math.inf)),
        (AugmentConfig(), "chance", 1.5),
        (CropConfig(), "shares", {"real": math.inf}),
        (SliceConfig(), "shift", math.nan),
        (SliceConfig(), "density", (0.0, 1.0)),
        (SliceConfig(), "kinds", {"real": -1.0}),
        (ImbalanceConfig(), "ratio_power", math.nan),
        (ImbalanceConfig(), "mosaic", 2.0),
        (LossConfig(), "smooth", math.inf),
        (LossConfig(), "tversky_gamma", math.nan),
        (Looks(), "scale", 0.0),
        (Looks(), "flip", 2.0),
        (DetectorTraining(), "rate", math.inf),
        (DetectorTraining(), "looks", 0),
        (ImageConfig(), "size", -1),
        (ImageConfig(), "quality", 0),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_setting_outside_of_its_bound_is_refused_with_its_name(settings: Any, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        replace(settings, **{name: value})
