"""The reference runtime: eager PyTorch in float32, on CPU or GPU."""

from __future__ import annotations

import os
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cascade.core.errors import UsageError
from cascade.runtime.blueprint import Blueprint, RuntimeNet
from cascade.runtime.fork import ProcessLock, before_torch_runs

_GPU = ProcessLock()


def layout(dimensions: int) -> torch.memory_format:
    """Channels last, in slices `[n, c, y, x]` and in volumes `[n, c, z, y, x]`."""
    return torch.channels_last_3d if dimensions == 5 else torch.channels_last


class TorchNet(RuntimeNet):
    """A network run by torch, layer by layer, as its module is written."""

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, blueprint: Blueprint, device: str = "cpu") -> None:
        super().__init__(blueprint, device)
        self._opened_in = os.getpid()
        # Convolutions over channels-last memory take 10 to 30 % less time; the values are the same numbers.
        module = blueprint.module()
        self.layout = layout(max((p.dim() for p in module.parameters()), default=4))
        self.module = module.to(device=torch.device(device), memory_format=self.layout)  # type: ignore[call-overload]

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 logits `[n, ...]`."""
        if self.device == "cpu":
            before_torch_runs()
            return self._forward(batch)
        if os.getpid() != self._opened_in:
            raise UsageError(
                "a GPU cannot be used in a process that was forked from the one that opened it; "
                "start processes with multiprocessing.get_context('spawn')",
                "E_DEVICE",
            )
        # The switches hold for the whole process: one batch at a time, and all is as before behind it.
        with _GPU, torch.backends.cudnn.flags(enabled=True, allow_tf32=False, deterministic=True):
            return self._forward(batch)

    def _forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            views = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32)).to(self.device)
            out = self.module(views.contiguous(memory_format=self.layout))
            return np.ascontiguousarray(out.float().cpu().numpy())
