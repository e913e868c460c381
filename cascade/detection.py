"""`cascade.detect`: lungs in single images, with the detector of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import cascade.bundle as bundles
from cascade.core.errors import BundleError
from cascade.runtime import choose

if TYPE_CHECKING:
    from detectors.detect import Detection
    from detectors.images import Image
    from detectors.lung_detector import LungDetector


class Detector:
    """A lung detector that stays open, for many calls.

    Args:
        bundle: Folder of the bundle; the default bundle where None.
        device: "auto" takes a GPU where there is one; "cpu", "gpu", "gpu:N".

    Raises:
        BundleError: The bundle has no lung detector, or is not whole.
        UsageError: The device is not there.
    """

    def __init__(self, bundle: Path | str | None = None, device: str = "auto") -> None:
        loaded = bundles.load(bundle)
        if "lung_detector" not in loaded.names:
            raise BundleError(f"{loaded.folder} holds no lung detector; name a bundle that has one", "E_UNKNOWN_STAGE")
        choice = choose(device)
        self.stage = cast("LungDetector", loaded.open(choice.runtime, choice.device, only=["lung_detector"])[0])

    def __call__(self, images: Any, **options: Any) -> Any:
        """Lungs in one image or in many; see `detectors.detect.detect`."""
        from detectors.detect import detect as run

        return run(images, self.stage, **options)


@overload
def detect(
    images: Image,
    *,
    threshold: float | None = ...,
    iou: float | None = ...,
    device: str = ...,
    show: bool | Path | str = ...,
    pixel_mm: float | None = ...,
    bundle: Path | str | None = ...,
) -> list[Detection]: ...
@overload
def detect(
    images: list[Image] | tuple[Image, ...],
    *,
    threshold: float | None = ...,
    iou: float | None = ...,
    device: str = ...,
    show: bool | Path | str = ...,
    pixel_mm: float | None = ...,
    bundle: Path | str | None = ...,
) -> list[list[Detection]]: ...
def detect(
    images: Any,
    *,
    threshold: float | None = None,
    iou: float | None = None,
    device: str = "auto",
    show: bool | Path | str = False,
    pixel_mm: float | None = None,
    bundle: Path | str | None = None,
) -> Any:
    """Lungs in one image (a list of detections) or in many (a list of such lists).

    An image is a path to a DICOM slice, PNG or JPEG, or an array: HU as int16 or floats `[y, x]`, grey levels as
    uint8 `[y, x]`, three windows as uint8 `[y, x, 3]`. Everything is said at `detectors.detect.detect`; the bundle
    is opened anew at each call (`Detector` keeps it open).
    """
    run = Detector(bundle, device)
    return run(images, threshold=threshold, iou=iou, show=show, pixel_mm=pixel_mm)
