"""What a run ran on, for run.json."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("pe-cascade", "torch", "openvino", "ultralytics", "timm", "numpy", "pydicom", "opencv-python")


def machine() -> dict[str, Any]:
    """Versions, processor count and the most memory that the process held so far; no host or user name."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        # Kilobytes on Linux, bytes on macOS.
        "memory_peak_mb": round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
