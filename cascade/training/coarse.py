"""Train a network of volumes for the coarse stage: from packed cases, with as many stops as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from cascade.bundle.weights import pack
from cascade.core.files import write_bytes
from cascade.core.registry import build
from cascade.training.loop import Evaluate, fit
from cascade.training.losses import SEGMENTATION, LossConfig, loss_of
from cascade.training.plan import Plan
from cascade.training.run import Run, Watch, refuse_no_room
from cascade.training.start import seeded
from cascade.training.volume_change import VolumeChange
from cascade.training.volumes import VolumeCrops, VolumeSampler
from segmenters.coarse import NETWORKS, CoarseConfig, CoarseEnsemble

LONG = Plan(
    steps=40_000,
    batch=2,
    learning_rate=1e-3,
    schedule="constant",
    warm_up=0.005,
    ema=0.999,
    look_every=25,
    save_minutes=2,
)
"""A training that goes on: a constant rate, and weights that are averaged over a thousand steps."""


def train_coarse(
    cases: Sequence[Path],
    out: Path,
    *,
    net: str = "attention_resunet_3d",
    arguments: Mapping[str, Any] | None = None,
    stage: CoarseConfig | None = None,
    plan: Plan = LONG,
    loss: LossConfig = SEGMENTATION,
    crops: VolumeCrops | None = None,
    change: VolumeChange | None = None,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> nn.Module:
    """Train one network of the coarse stage.

    Args:
        cases: Packed cases; a training that is resumed may have other ones, and goes on with those.
        out: The run folder; must be new, or hold the run that is resumed.
        net: A key of `segmenters.coarse.NETWORKS`.
        arguments: The network's.
        stage: How it windows what it cuts.
        plan: How long and how hard.
        loss: What is learned from; embolus and artery are the outputs.
        crops: Which crops to draw.
        change: How to change them.
        evaluate: What a network is worth; without it the last weights are the best.
        resume: Go on with the run in `out`.
        watch: Called with how it goes.

    Returns:
        The averaged network, which also lies in `out` as `weights.safetensors`.

    Raises:
        UsageError: The run folder is not new, or (to resume) holds no run of such a network.
        InputError: There is no case to learn from.
    """
    seeded(plan)
    network = build(NETWORKS, net, dict(arguments or {}))
    crops, change = crops or VolumeCrops(), change or VolumeChange()
    sampler = VolumeSampler(cases, CoarseEnsemble(config=stage).preprocess, crops, change)
    arguments_of_run = {
        "data": [str(path) for path in cases],
        "validation": [],
        "bundle": None,
        "net": net,
        "arguments": dict(arguments or {}),
        "plan": plan,
        "loss": loss,
        "crops": crops,
        "change": change,
    }
    run = Run(out, arguments_of_run, resume=resume, watch=watch)
    refuse_no_room(out, network)
    trained = fit(network, sampler, loss_of(loss), plan, run, evaluate)
    keep(trained, out / "weights.safetensors", net, arguments or {})
    return trained


def keep(network: nn.Module, path: Path, net: str, arguments: Mapping[str, Any]) -> None:
    """Write a network's weights as a bundle holds them: kernels in float16, with its name and arguments."""
    tensors = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    write_bytes(path, pack(tensors, net, arguments))
