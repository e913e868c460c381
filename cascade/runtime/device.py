"""Which runtime and which device: what was asked for, or the best that is there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cascade.core.errors import UsageError
from cascade.core.registry import nearest

RUNTIMES = ("torch", "openvino", "openvino-bf16")
DEFAULT_CPU = "openvino-bf16"
FULL_PRECISION = {"openvino-bf16": "openvino"}
"""What runs a network that must keep to float32, where a runtime of lower precision was chosen."""


@dataclass(frozen=True)
class Choice:
    """A runtime on a device.

    Attributes:
        runtime: One of `RUNTIMES`.
        device: As torch names it: `cpu`, `cuda:0`, ...
        note: Why, in one sentence, where something else than the best was taken.
    """

    runtime: str
    device: str
    note: str = ""


def choose(device: str = "auto", runtime: str | None = None) -> Choice:
    """Resolve `device` ("auto", "cpu", "gpu", "gpu:N") and `runtime` (None: the device's default).

    "auto" takes a GPU where the runtime can use one, and falls back on the CPU.

    Raises:
        UsageError: The device is not there, or the runtime does not run on it.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}; {nearest(runtime, RUNTIMES)}", "E_RUNTIME")
    wanted = re.fullmatch(r"(auto|cpu|gpu|cuda)(?::(\d+))?", device)
    if wanted is None or (wanted[2] is not None and wanted[1] in ("auto", "cpu")):
        raise UsageError(f"device {device!r} is not known; say auto, cpu, gpu or gpu:N", "E_DEVICE")
    if wanted[1] == "cpu":
        return Choice(runtime or DEFAULT_CPU, "cpu")
    if wanted[1] == "auto":
        if runtime not in (None, "torch"):
            return Choice(str(runtime), "cpu")
        count, why = _gpus()
        return (
            Choice("torch", "cuda:0") if count else Choice(runtime or DEFAULT_CPU, "cpu", f"running on the CPU: {why}")
        )
    if runtime not in (None, "torch"):
        raise UsageError(f"runtime {runtime!r} runs on the CPU only; use runtime 'torch' for {device!r}", "E_DEVICE")
    count, why = _gpus()
    index = int(wanted[2] or 0)
    if index >= count:
        raise UsageError(f"device {device!r} was asked for, but {why}; use --device auto or cpu", "E_DEVICE")
    return Choice("torch", f"cuda:{index}")


def _gpus() -> tuple[int, str]:
    """How many GPUs torch can use, and a clause that says so. torch is imported only where a GPU may be."""
    if not (shutil.which("nvidia-smi") or any(Path("/dev").glob("nvidia[0-9]*"))):
        return 0, "no GPU was found"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return count, f"torch {torch.__version__} can use {count} GPUs here"
