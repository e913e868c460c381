"""The one door to Ultralytics: its switches are set before its first import, and nothing else imports it.

Importing it sets the threads of OpenCV and print options of torch and numpy; the door puts the first back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import cv2

from cascade.core.errors import UsageError
from cascade.core.registry import nearest
from cascade.runtime.offline import go_offline, settle_ultralytics
from detectors.architectures import Architecture, architectures

if TYPE_CHECKING:
    from torch import nn


def quiet_ultralytics() -> Any:
    """Import Ultralytics with every switch set that keeps it off the network, and return the module."""
    go_offline()
    os.environ.setdefault("YOLO_VERBOSE", "False")  # it speaks on stdout, which is for data
    threads = cv2.getNumThreads()
    import ultralytics

    settle_ultralytics()
    cv2.setNumThreads(threads)
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


def trainer(yaml: str) -> Any:
    """Ultralytics' own trainer around a detector with random weights."""
    check(yaml, 1)
    return quiet_ultralytics().YOLO(yaml, task="detect")


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
