"""What a training is at a step: to go back to, to store, and to go on from as if it had never stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: Steps done.
        seconds: Time spent.
        factor: On the learning rate; it is halved where figures were not finite.
        best: Highest score so far.
    """

    step: int = 0
    seconds: float = 0.0
    factor: float = 1.0
    best: float | None = None


def taken(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """Copies of the weights, their average and the optimizer's memory, where they are."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for i, memory in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in memory.items()}
    return {k: v.detach().clone() for k, v in tensors.items()}


def put_back(
    tensors: Mapping[str, torch.Tensor], network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Undo everything since `taken`; the tensors stay as they are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    memory: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            like = parameters[int(index)]
            # Kernels ask for the layout of the weights, which a file does not keep.
            copy = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor.clone()
            memory.setdefault(int(index), {})[key] = copy
    for prefix, module in (("network.", network), ("average.", average)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})


def store(path: Path, tensors: Mapping[str, torch.Tensor], progress: Progress) -> None:
    """Write to one file what was `taken`, how far it was, and where torch's random numbers are; whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    plain = {k: v.cpu().contiguous() for k, v in {**tensors, **_random()}.items()}
    save_file(plain, temporary, metadata={"progress": json.dumps(asdict(progress))})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> tuple[Tensors, Progress]:
    """Read what `store` wrote, and set torch's random numbers to where they were."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors: Tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    torch.set_rng_state(tensors["rng.cpu"])
    if torch.cuda.is_available() and "rng.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return tensors, progress


def _random() -> Tensors:
    states = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["rng.cuda"] = torch.cuda.get_rng_state()
    return states
