"""The one door to Ultralytics: its switches are set around its first import, and nothing else imports it.

Importing it sets the threads of OpenCV, print options of torch and numpy, and a `torch.save` of its own; the door puts
them back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import torch

from cascade.core.errors import UsageError
from cascade.core.registry import nearest
from cascade.runtime import offline
from cascade.runtime.switches import settle_ultralytics
from detectors.architectures import Architecture, architectures

if TYPE_CHECKING:
    from torch import nn


def quiet_ultralytics() -> Any:
    """Import Ultralytics without a word to the network or a change outside of it, and return the module."""
    threads, save, printed = cv2.getNumThreads(), torch.save, vars(torch._tensor_str.PRINT_OPTS).copy()
    try:
        with offline():
            import ultralytics
            import ultralytics.nn.tasks
    finally:
        cv2.setNumThreads(threads)
        torch.save = save
        torch.set_printoptions(**printed)  # type: ignore[no-untyped-call]  # torch has no types there
    return ultralytics


def detection_model(yaml: str, classes: int) -> nn.Module:
    """A detector with random weights, built from its description; no file is fetched.

    The description is the package's own, whatever lies in the working folder under its name.

    Raises:
        UsageError: Ultralytics has no such detector, or the number of classes is not positive.
    """
    architecture = check(yaml, classes)
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import YAML

    told: dict[str, Any] = YAML.load(architecture.file)  # type: ignore[no-untyped-call]  # no types there
    told |= {"nc": classes, "scale": architecture.scale, "yaml_file": yaml}
    model: nn.Module = DetectionModel(told, nc=classes, verbose=False)  # type: ignore[no-untyped-call]  # likewise
    return model


def trainer(model: str | Path) -> Any:
    """Ultralytics' own trainer: around a detector with random weights, or the one of a checkpoint of its own.

    Raises:
        UsageError: Ultralytics has no such detector.
    """
    if isinstance(model, str):
        check(model, 1)
    ultralytics = quiet_ultralytics()
    settle_ultralytics()
    return ultralytics.YOLO(str(model), task="detect")


def check(yaml: str, classes: int) -> Architecture:
    """The description of a name.

    Raises:
        UsageError: Ultralytics has no such detector, or the number of classes is not positive.
    """
    known = architectures()
    if yaml not in known:
        raise UsageError(
            f"Ultralytics has no detector {yaml!r} that answers with rows; {nearest(str(yaml), known)}",
            "E_NETWORK_ARGUMENTS",
        )
    if classes < 1:
        raise UsageError(f"a detector needs at least one class, got {classes}", "E_NETWORK_ARGUMENTS")
    return known[yaml]
