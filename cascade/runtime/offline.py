"""Every switch that keeps third parties off the network and out of the home folder, in one place.

Ultralytics, OpenVINO, NNCF, albumentations and the Hugging Face hub each look something up or report something
unless told otherwise, and most read their switch once, at import. So `go_offline` runs before any of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import platformdirs

_SWITCHES = {
    "YOLO_OFFLINE": "1",  # the online check by DNS, update check, events, Sentry
    "YOLO_AUTOINSTALL": "0",  # pip and uv at run time
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "ULTRALYTICS_SAFE_LOAD": "1",  # its own .pt files with weights_only
    "NNCF_CI": "1",  # telemetry
    "NO_ALBUMENTATIONS_UPDATE": "1",  # version check at import
    "HF_HUB_OFFLINE": "1",  # timm and segmentation-models-pytorch ask it for weights
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def cache_folder() -> Path:
    """The user's cache folder of this package: `$PE_CASCADE_CACHE`, else the platform's. Not created here."""
    own = os.environ.get("PE_CASCADE_CACHE")
    return Path(own) if own else platformdirs.user_cache_path("pe-cascade", appauthor=False)


def go_offline() -> None:
    """Set the switches; call it before the first import of any of these libraries. Calling it again is free."""
    os.environ.update(_SWITCHES)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder() / "ultralytics"))
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    # Ultralytics sets this to 1 at import where it is unset, and a core is lost.
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    # OpenVINO and NNCF take their own stubs where this module cannot be imported.
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python marks a module as absent


def settle_ultralytics() -> None:
    """What Ultralytics reads from files: its settings without events, and a font, which it would download.

    Call it after `import ultralytics` and before training or drawing with it.
    """
    go_offline()
    import matplotlib
    from ultralytics.utils import SETTINGS, USER_CONFIG_DIR

    if SETTINGS.get("sync"):
        SETTINGS.update({"sync": False})  # type: ignore[no-untyped-call]  # Ultralytics is not typed
    font = Path(USER_CONFIG_DIR) / "Arial.ttf"
    if not font.exists():
        font.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", font)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
