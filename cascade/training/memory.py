"""What a training holds in memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")


def memory_mb(device: torch.device) -> dict[str, float]:
    """Megabytes that this process holds, and on a GPU what of it is in use and what torch has set aside."""
    held = {"rss_mb": _resident_mb(), "gpu_allocated_mb": 0.0, "gpu_reserved_mb": 0.0}
    if device.type == "cuda":
        held["gpu_allocated_mb"] = torch.cuda.memory_allocated(device) / 1e6
        held["gpu_reserved_mb"] = torch.cuda.memory_reserved(device) / 1e6
    return held


def _resident_mb() -> float:
    if _STATM.exists():
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    # The most it ever held, where the system does not say more: kilobytes on Linux, bytes on macOS.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if os.uname().sysname == "Darwin" else most / 1e3
