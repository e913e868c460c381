"""What a training holds in memory."""

from __future__ import annotations

import psutil
import torch


def memory_mb(device: torch.device) -> dict[str, float]:
    """Megabytes that this process holds, and on a GPU what of it is in use and what torch has set aside."""
    held = {"rss_mb": psutil.Process().memory_info().rss / 1e6, "gpu_allocated_mb": 0.0, "gpu_reserved_mb": 0.0}
    if device.type == "cuda":
        held["gpu_allocated_mb"] = torch.cuda.memory_allocated(device) / 1e6
        held["gpu_reserved_mb"] = torch.cuda.memory_reserved(device) / 1e6
    return held
