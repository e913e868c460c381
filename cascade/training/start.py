"""Where a training begins: at a seed, or from weights that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cascade.core.errors import UsageError
from cascade.training.plan import Plan


def seeded(plan: Plan) -> None:
    """Begin torch's random numbers at the seed: before a network is built, so that its start weights are the seed's."""
    torch.manual_seed(plan.seed)


def start_from(network: nn.Module, path: Path) -> dict[str, Any]:
    """Load start weights from a safetensors file, in place. Returns its metadata.

    Raises:
        UsageError: It is no such file, or holds the weights of another network.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        text = f"{path} holds no weights ({error}); give a safetensors file, such as RUN/checkpoints/best"
        raise UsageError(f"{text}/weights.safetensors", "E_START") from error
    refuse_others(network, weights, path)
    network.load_state_dict(weights)
    return metadata


def refuse_others(network: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse the weights of another network.

    Raises:
        UsageError: They are; the first tensor that differs is named.
    """
    ours, theirs = ({k: v.shape for k, v in one.items()} for one in (network.state_dict(), weights))
    differing = {name for name, _ in ours.items() ^ theirs.items()}
    if differing:
        raise UsageError(
            f"{path} holds the weights of another network: {len(differing)} tensors differ, {min(differing)!r} first; "
            "name the network, and its arguments, that they were trained with",
            "E_START",
        )
