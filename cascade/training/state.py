"""What a training is at a step, as named tensors: to go back to, or to store."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]


def taken(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """Copies of the weights, their average and the optimizer's memory, where they are."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for i, memory in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in memory.items()}
    return {k: v.detach().clone(memory_format=torch.preserve_format) for k, v in tensors.items()}


def put_back(
    tensors: Mapping[str, torch.Tensor], network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Undo everything since `taken`; the tensors stay as they are."""
    memory: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            memory.setdefault(int(index), {})[key] = tensor.clone()
    for prefix, module in (("network.", network), ("average.", average)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})
