"""Third-party libraries kept off the network, out of the home folder, and out of what belongs to the user's program.

Ultralytics, OpenVINO and albumentations look something up or report something unless told otherwise, and change
settings of the whole process, most of it once, at import. So they are imported inside `offline`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import platformdirs

from cascade.runtime.fork import ProcessLock

_SWITCHES = {
    "YOLO_OFFLINE": "1",  # the online check by DNS, update check, events, Sentry
    "YOLO_AUTOINSTALL": "0",  # pip and uv at run time
    "YOLO_VERBOSE": "False",  # it speaks on stdout, which is for data
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
    "ULTRALYTICS_SAFE_LOAD": "1",  # its own .pt files with weights_only
    "NNCF_CI": "1",  # telemetry
    "NO_ALBUMENTATIONS_UPDATE": "1",  # version check at import
}
_PROGRAM_SWITCHES = {
    # The libraries that have these are asked for nothing that they would fetch; a program of ours makes sure.
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
_CHANGED_BY_LIBRARIES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DISABLE_CUPTI_LAZY_REINIT",
    "KINETO_LOG_LEVEL",
    "LD_LIBRARY_PATH",
    "MPLCONFIGDIR",
    "NUMEXPR_MAX_THREADS",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "PYTHONHASHSEED",
    "QT_QPA_FONTDIR",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "TEARDOWN_CUPTI",
    "TF_CPP_MIN_LOG_LEVEL",
    "TORCHINDUCTOR_CACHE_DIR",
    "TORCH_CPP_LOG_LEVEL",
    "TORCH_NCCL_BLOCKING_WAIT",
    "_RJEM_MALLOC_CONF",
)
"""What Ultralytics and the libraries that it imports set for the whole process, at import and at work."""
_TELEMETRY = "openvino_telemetry"

_LOCK = ProcessLock()
_inside = 0
_around = ExitStack()


def cache_folder() -> Path:
    """The user's cache folder of this package: `$PE_CASCADE_CACHE`, else the platform's. Not created here."""
    own = os.environ.get("PE_CASCADE_CACHE")
    return Path(own) if own else platformdirs.user_cache_path("pe-cascade", appauthor=False)


@contextmanager
def offline(whole_program: bool = False) -> Iterator[None]:
    """Set every switch for a block, and put back what the block changes in the process.

    Put back are the variables of the environment that are switches or that libraries set (another thread may have set
    others meanwhile), warnings filters, numpy's print options, and the root logger's level and handlers; where blocks
    overlap, as in threads, by the last to end.

    Args:
        whole_program: Also switch off what only a program of ours may: a notebook may go on to use the Hugging Face
            hub, and has its own settings of matplotlib.
    """
    global _inside, _around
    with _LOCK:
        if _inside == 0:
            _around = ExitStack()
            _around.enter_context(_switched(whole_program))
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _around.close()


@contextmanager
def _switched(whole_program: bool) -> Iterator[None]:
    printed, root = np.get_printoptions(), logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    telemetry = sys.modules.get(_TELEMETRY)
    switches = {**_SWITCHES, **_folder("YOLO_CONFIG_DIR", "ultralytics")}
    if whole_program:
        switches |= {**_PROGRAM_SWITCHES, **_folder("MPLCONFIGDIR", "matplotlib")}
    before = {name: os.environ.get(name) for name in (*switches, *_CHANGED_BY_LIBRARIES)}
    os.environ.update(switches)
    # OpenVINO and NNCF take their own stubs where this module cannot be imported; None is how Python marks that.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        if telemetry is None:
            sys.modules.pop(_TELEMETRY, None)
        else:
            sys.modules[_TELEMETRY] = telemetry
        root.setLevel(level)
        root.handlers[:] = handlers
        np.set_printoptions(**printed)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _folder(variable: str, name: str) -> dict[str, str]:
    """The variable of a folder that a library writes to: the user's, or one of ours."""
    return {variable: os.environ.get(variable, str(cache_folder() / name))}


def settle_ultralytics() -> None:
    """What Ultralytics reads from files: its settings without events, and a font, which it would download.

    Call it after `import ultralytics` and before training or drawing with it.
    """
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
