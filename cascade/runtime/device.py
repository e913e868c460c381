"""Which runtime and which device: what was asked for, or the best that is there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cascade.core.errors import UsageError
from cascade.runtime.opening import runtime_class
from cascade.runtime.runtimes import DEFAULT_CPU, DEFAULT_GPU


@dataclass(frozen=True)
class Choice:
    """A runtime on a device.

    Attributes:
        runtime: A name in `cascade.runtime.RUNTIMES`.
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
    kinds = ("cpu", "cuda") if runtime is None else runtime_class(runtime).devices
    wanted = re.fullmatch(r"(auto|cpu|gpu|cuda)(?::(\d+))?", str(device))
    if wanted is None or (wanted[2] is not None and wanted[1] in ("auto", "cpu")):
        raise UsageError(f"device {device!r} is not known; say auto, cpu, gpu or gpu:N", "E_DEVICE")
    note = ""
    if wanted[1] != "cpu" and "cuda" in kinds:
        count, why = _gpus()
        index = int(wanted[2] or 0)
        if index < count:
            return Choice(runtime or DEFAULT_GPU, f"cuda:{index}")
        if wanted[1] != "auto":
            raise UsageError(f"device {device!r} was asked for, but {why}; use --device auto or cpu", "E_DEVICE")
        note = f"running on the CPU: {why}"
    elif wanted[1] in ("gpu", "cuda"):
        raise UsageError(f"runtime {runtime!r} runs on the CPU only; use runtime 'torch' for {device!r}", "E_DEVICE")
    if "cpu" not in kinds:
        raise UsageError(f"runtime {runtime!r} runs on a GPU only; leave the runtime to be chosen", "E_DEVICE")
    return Choice(runtime or DEFAULT_CPU, "cpu", note)


def _gpus() -> tuple[int, str]:
    """How many GPUs torch can use, and a clause that says so. torch is imported only where a GPU may be."""
    if not (shutil.which("nvidia-smi") or any(Path("/dev").glob("nvidia[0-9]*"))):
        return 0, "no GPU was found"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return count, f"torch {torch.__version__} can use {count} GPUs here"
