"""A whole bundle of small random networks, and a fusion for it."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import torch

from cascade.bundle import Bundle, Network, StageEntry, network_table, stage_classes
from cascade.core.registry import build
from cascade.fusion import Calibration, FusionParameters, LesionModel, OperatingPoint

SMALL: dict[str, tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]] = {
    "lung_detector": (
        {"stride_mm": 40.0, "size": 96, "pixel_mm": 5.0},
        [("yolo", {"yaml": "yolo11n.yaml", "classes": 2})],
    ),
    "lung_filter": ({"stride_mm": 20.0, "size": 64, "pixel_mm": 5.0}, [("efficientnet", {})]),
    "siamese": ({"stride_mm": 20.0, "size": 64, "pixel_mm": 5.0}, [("siamese", {"width": 4, "hidden": 16})]),
    "embolus": (
        {"stride_mm": 20.0, "tile": (64, 96), "pixel_mm": 4.0, "overlap": 8},
        [("attention_resunet", {"width": 4, "levels": 3}), ("tiny_attention_resunet", {"width": 4})],
    ),
}
"""Config and networks of every stage of the shipped cascade."""

EVERY: dict[str, tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]] = {
    **SMALL,
    "coarse": (
        {"step_mm": 4.0, "block": (16, 24, 32), "overlap": 8},
        [("attention_resunet_3d", {"widths": [8, 16], "blocks": [1, 1]})],
    ),
}
"""Those of every stage that there is."""

MEMBERS: dict[str, dict[str, Any]] = {
    "timm": {"model": "lcnet_050"},
    "smp": {"encoder": "tu-lcnet_050"},
}
"""Small members of whole families."""


def small_arguments(stage: str, name: str) -> dict[str, Any]:
    """Arguments that make a network small: those of `EVERY`, else what its class lets be small."""
    known = {**MEMBERS, **dict(EVERY[stage][1])} if stage in EVERY else MEMBERS
    if name in known:
        return known[name]
    module, attribute = network_table(stage)[name].split(":")
    taken = inspect.signature(getattr(importlib.import_module(module), attribute)).parameters
    return {key: value for key, value in {"slices": 7, "width": 4, "levels": 3}.items() if key in taken}


def network(stage: str, name: str, arguments: dict[str, Any], seed: int = 0) -> Network:
    torch.manual_seed(seed)
    module = build(network_table(stage), name, arguments).eval()
    if name == "efficientnet":
        # A filter that takes every slice for lung: the stages behind it have something to do.
        module.net.classifier.weight.data[0] = 0.0
        module.net.classifier.bias.data[0] = 8.0
    return Network.of(name, arguments, module)


def entry(stage: str, seed: int = 0) -> StageEntry:
    config, networks = EVERY[stage]
    made = tuple(network(stage, name, arguments, seed) for name, arguments in networks)
    return StageEntry(stage, stage_classes()[stage].Config(**config), made)  # type: ignore[attr-defined]  # each has one


def small_bundle(*stages: str) -> Bundle:
    return Bundle("small", tuple(entry(stage) for stage in stages or SMALL), facts={"licence": "AGPL-3.0-or-later"})


def parameters(rule_out: float = 0.2, rule_in: float = 0.8, **changes: Any) -> FusionParameters:
    """A fusion of round numbers, as a fit would give one."""
    half = {"sensitivity": (0.4, 0.6), "specificity": (0.4, 0.6)}
    points = {"rule_out": rule_out, "balanced": 0.5, "rule_in": rule_in}
    values: dict[str, Any] = {
        "inputs": ("lesion", "volume"),
        "coefficients": {"lesion": 0.5, "volume": 0.5},
        "baselines": {"lesion": -2.0, "volume": 1.0},
        "intercept": -2.0,
        "calibration": Calibration(1.0, 0.0),
        "lesions": LesionModel(coefficients={"volume": 0.5, "peak": 1.0}, baselines={"volume": 4.0, "peak": 0.0}),
        "operating_points": {n: OperatingPoint(t, 0.5, 0.5, half, "nothing") for n, t in points.items()},
        "fitted_on": "nothing",
    }
    return FusionParameters(**(values | changes))
