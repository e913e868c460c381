"""The processes of one training, as `torchrun` starts them: who writes, who draws what, what they know together.

Only the first process (the leader) evaluates and writes. A batch is shared: each process draws its part of it, and a
loss is made of sums over all parts (`losses.totals`), so that several processes learn what one would from the whole.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

_PATIENCE = timedelta(hours=6)
"""How long the others wait while the leader evaluates."""


def processes() -> int:
    """How many train together; 1 without `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True)
class World:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: Which this is.
        size: How many there are.
        device: Where this one computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this one evaluates and writes."""
        return self.rank == 0

    def shared(self, value: float) -> float:
        """The leader's value, for all."""
        if self.size == 1:
            return value
        common = torch.tensor(value, dtype=torch.float64)
        torch.distributed.broadcast(common, 0)
        return float(common)

    def gathered(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes (on the CPU, of one shape), by rank."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return parts

    def wait(self) -> None:
        """Until all have come here."""
        self.shared(0.0)

    def together(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are means over the processes, and BatchNorm over whole batches on GPUs.

        torch has no BatchNorm over several processes on the CPU; there each normalises its own share.
        """
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # untyped in torch
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=devices)

    def share(self, first: int, steps: int, batch: int) -> Iterator[int]:
        """This process's samples of the batches from a step on."""
        part = batch // self.size
        for step in range(first, steps):
            begin = step * batch + self.rank * part
            yield from range(begin, begin + part)


@functools.cache
def world() -> World:
    """The processes of this training; those that `torchrun` started find each other at the first call."""
    rank, size, cuda = int(os.environ.get("RANK", "0")), processes(), torch.cuda.is_available()
    if size == 1:
        return World(0, 1, torch.device("cuda" if cuda else "cpu"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    # Numbers for people go by the CPU: they do not make a step wait for its device.
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
    # A process that ends with its connections open may be aborted by what the others do to them.
    atexit.register(torch.distributed.destroy_process_group)
    return World(rank, size, device)


class _Total(torch.autograd.Function):
    """A sum over all processes. Torch's own with a gradient (`torch.distributed.nn`) is deprecated, its heir private.

    Each makes the same loss of the same sums, so that the gradient that comes back is the same in all; times their
    number, because the gradients of the weights are means over the processes.
    """

    @staticmethod
    def forward(ctx, mine):  # type: ignore[no-untyped-def]  # untyped in torch
        whole = mine.clone()
        torch.distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]  # untyped in torch
        return gradient * processes()


def totals(*sums: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Sums over the samples of a process made sums over those of all; as they are where nothing is learned from them.

    An evaluation is the leader's own: the others take no part, and would be waited for without end.
    """
    if processes() == 1 or not torch.is_grad_enabled():
        return sums
    return tuple(_Total.apply(torch.stack([one.float() for one in sums])))
