"""The one door to Ultralytics: its switches are set before its first import, and nothing else imports it.

Importing it sets the threads of OpenCV and print options of torch and numpy; the door puts the first back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import cv2

from cascade.errors import UsageError
from cascade.registry import nearest
from cascade.runtime.offline import go_offline, settle_ultralytics

if TYPE_CHECKING:
    from torch import nn

_SIZES = {
    "yolo11": "nsmlx",
    "yolo12": "nsmlx",
    "yolo26": "nsmlx",
    "yolov5": "nsmlx",
    "yolov6": "nsmlx",
    "yolov8": "nsmlx",
    "yolov9": "tsmce",
    "yolov10": "nsmblx",
}
ARCHITECTURES = tuple(f"{family}{size}.yaml" for family, sizes in _SIZES.items() for size in sizes)
"""The descriptions that may be built: detectors of the Ultralytics package itself. A manifest can name no other."""


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

    Raises:
        UsageError: The description is not one of `ARCHITECTURES`, or the number of classes is not positive.
    """
    check(yaml, classes)
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    model: nn.Module = DetectionModel(yaml, nc=classes, verbose=False)  # type: ignore[no-untyped-call]  # no types there
    return model


def trainer(yaml: str) -> Any:
    """Ultralytics' own trainer around a detector with random weights."""
    check(yaml, 1)
    return quiet_ultralytics().YOLO(yaml, task="detect")


def check(yaml: str, classes: int) -> None:
    """Refuse a description that is not listed.

    Raises:
        UsageError: The description is not one of `ARCHITECTURES`, or the number of classes is not positive.
    """
    if yaml not in ARCHITECTURES:
        raise UsageError(
            f"unknown YOLO description {yaml!r}; {nearest(str(yaml), ARCHITECTURES)}", "E_NETWORK_ARGUMENTS"
        )
    if classes < 1:
        raise UsageError(f"a detector needs at least one class, got {classes}", "E_NETWORK_ARGUMENTS")
