"""What a training is at a step: to go back to, to store, and to go on from as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from cascade.core.files import write_bytes
from cascade.training.distributed import world

if TYPE_CHECKING:
    from cascade.training.plan import Plan

Tensors = dict[str, torch.Tensor]


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        step: Steps done.
        seconds: Time spent.
        factor: On the learning rate; it is halved where figures were not finite.
        best: The best value so far of what weights are kept by, by the name they are kept under; higher is better.
        since_best: Evaluations since the best score.
    """

    step: int = 0
    seconds: float = 0.0
    factor: float = 1.0
    best: dict[str, float] = field(default_factory=dict)
    since_best: int = 0

    def improved(self, name: str, value: float) -> bool:
        """Whether a value is the best of its name so far; it is noted then."""
        better = name not in self.best or value > self.best[name]
        if better:
            self.best[name] = value
        return better

    def over(self, plan: Plan) -> bool:
        """Whether nothing better is waited for any longer."""
        return bool(plan.patience) and self.since_best >= plan.patience


def snapshot(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """Copies of the weights, their average and the optimizer's memory, where they are."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for i, memory in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in memory.items()}
    return {k: v.detach().clone() for k, v in tensors.items()}


def part(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    """The tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def restore(
    tensors: Mapping[str, torch.Tensor], network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Undo everything since the `snapshot`; the tensors stay as they are."""
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
        module.load_state_dict(part(tensors, prefix))
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})


def save(path: Path, tensors: Mapping[str, torch.Tensor], progress: TrainingState) -> None:
    """Write a `snapshot` to one file, with how far it was and where torch's random numbers are; whole or not at all.

    All processes of a training come here together, and the leader writes.

    Raises:
        OutputError: The disk is full, or the folder gone.
    """
    from safetensors.torch import save as packed

    random = _random()
    if world().is_main:
        plain = {k: v.cpu().contiguous() for k, v in {**tensors, **random}.items()}
        write_bytes(path, packed(plain, metadata={"progress": json.dumps(asdict(progress))}))


def load(path: Path) -> tuple[Tensors, TrainingState]:
    """Read what `save` wrote, and set torch's random numbers to where they were in this process."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        progress = TrainingState(**json.loads(file.metadata()["progress"]))
        tensors: Tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    rank = world().rank
    # A run may go on with more processes than it had: a new one goes on from its seed.
    if f"random.cpu.{rank}" in tensors:
        torch.set_rng_state(tensors[f"random.cpu.{rank}"])
    if torch.cuda.is_available() and f"random.cuda.{rank}" in tensors:
        torch.cuda.set_rng_state(tensors[f"random.cuda.{rank}"])
    return tensors, progress


def _random() -> Tensors:
    """Where the random numbers of every process are."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {
        f"random.{kind}.{rank}": one
        for kind, state in states.items()
        for rank, one in enumerate(world().gathered(state))
    }
