"""What a run ran on, for run.json."""

from __future__ import annotations

import os
import platform
import resource
import sys
from typing import Any

from cascade.core.version import NAME, version_of, version_with_commit

_LIBRARIES = ("torch", "openvino", "ultralytics", "timm", "numpy", "pydicom", "opencv-python")


def machine() -> dict[str, Any]:
    """Versions, processor count and the most memory that the process held so far; no host or user name."""
    # psutil knows what a process holds now, and its peak on Windows alone.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": {
            "python": platform.python_version(),
            NAME: version_with_commit(),
            **{name: version_of(name) for name in _LIBRARIES},
        },
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        # Kilobytes on Linux, bytes on macOS.
        "memory_peak_mb": round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1),
    }
