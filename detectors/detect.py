"""Detection on single images: a slice, a picture, or many of them, of whatever size.

Takes the place of a darknet wrapper: the same answer for one image and for many, no state between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import UsageError
from cascade.core.files import write_bytes
from detectors.images import Image, Slice, open_image
from detectors.lung_detector import LABELS, LungDetector
from detectors.nms import suppress

_COLOURS = ((66, 135, 245), (245, 150, 66))
"""RGB of the right and the left lung's box."""


@dataclass(frozen=True)
class Detection:
    """One object in an image.

    Attributes:
        label: What it is: "right lung" or "left lung".
        score: 0..1.
        box: x0, y0, x1, y1 in the image's own pixels, edges: pixel i lies between i and i + 1.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[float, float, float, float]:
        """The box as x and y of its centre, width and height."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


@overload
def detect(
    images: Image,
    stage: LungDetector,
    *,
    threshold: float | None = ...,
    iou: float | None = ...,
    pixel_mm: float | None = ...,
    show: bool | Path | str = ...,
) -> list[Detection]: ...
@overload
def detect(
    images: list[Image] | tuple[Image, ...],
    stage: LungDetector,
    *,
    threshold: float | None = ...,
    iou: float | None = ...,
    pixel_mm: float | None = ...,
    show: bool | Path | str = ...,
) -> list[list[Detection]]: ...
def detect(
    images: Image | Sequence[Image],
    stage: LungDetector,
    *,
    threshold: float | None = None,
    iou: float | None = None,
    pixel_mm: float | None = None,
    show: bool | Path | str = False,
) -> list[Detection] | list[list[Detection]]:
    """Lungs in one image, or in each of many.

    Args:
        images: An image or a list of them (sizes may differ): a path to a DICOM slice or to a PNG or JPEG file, or
            an array. An array of int16 or floats `[y, x]` is HU; of uint8 `[y, x]` grey levels in the lung window;
            of uint8 `[y, x, 3]` the windows lung, pe and mediastinal. Patient's right on the image's left.
        stage: A lung detector with its networks.
        threshold: Lowest score; the stage's own where None.
        iou: Highest overlap of two boxes of one lung; the stage's own where None.
        pixel_mm: Distance of the pixels; a DICOM slice knows its own, other images are taken to be 360 mm wide.
        show: Draw the boxes and write the picture: to this file (one image) or into this folder as 0.png, 1.png ...
            (many); True is `detections.png` or `detections/` in the working folder.

    Returns:
        One list by falling score for one image, a list of such lists for many: the same as a loop over them gives.

    Raises:
        UsageError: An image cannot be read or has a shape or type that is none of these, or a number is out of range.
        InputError: A DICOM file holds no slice that can be read rightly.
    """
    one = isinstance(images, str | Path | np.ndarray)
    if not one and not isinstance(images, Iterable):
        raise UsageError(f"images are paths or arrays, one or a list of them, got {type(images).__name__}")
    given: list[Image] = [images] if one else list(images)  # type: ignore[list-item, arg-type]  # told apart by `one`
    threshold = stage.config.confidence if threshold is None else threshold
    iou = stage.config.iou if iou is None else iou
    for name, value in (("threshold", threshold), ("iou", iou)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} must lie between 0 and 1, got {value}")
    if one and show and show is not True and not cv2.haveImageWriter(f"x{Path(show).suffix or '.png'}"):
        raise UsageError(f"{show} has an ending that no picture can be written with; use .png or .jpg")
    slices = [open_image(image, stage.config, pixel_mm) for image in given]
    found = [_named(rows, slice_, threshold, iou) for slice_, rows in zip(slices, _rows(slices, stage), strict=True)]
    if show:
        _write(slices, found, show, one)
    return found[0] if one else found


def draw(image: NDArray[np.uint8], detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """A copy of an image `[y, x]` or `[y, x, 3]` (RGB) with boxes, labels and scores, as RGB `[y, x, 3]`."""
    picture = np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)).copy()
    thick = max(round(min(picture.shape[:2]) / 256), 1)
    for one in detections:
        colour = _COLOURS[LABELS.index(one.label)] if one.label in LABELS else (255, 255, 255)
        x0, y0, x1, y1 = (round(v) for v in one.box)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, thick)
        text = f"{one.label} {one.score:.2f}"
        place = (x0 + 2 * thick, max(y0 - 3 * thick, 12 * thick))
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thick, colour, thick)
    return np.asarray(picture, dtype=np.uint8)


def _rows(slices: Sequence[Slice], stage: LungDetector) -> Iterable[NDArray[np.float32]]:
    """Decoded rows of each slice; batches of one size, so that company changes no bit."""
    size = stage.batch_size
    for start in range(0, len(slices), size):
        views = np.stack([one.view for one in slices[start : start + size]])
        count = len(views)
        if count < size:
            views = np.concatenate([views, np.repeat(views[-1:], size - count, axis=0)])
        yield from stage.predict(views)[:count]


def _named(rows: NDArray[np.float32], slice_: Slice, threshold: float, iou: float) -> list[Detection]:
    kept = suppress(rows, threshold, iou)
    named = [Detection(LABELS[k.label], k.score, slice_.to_image(k.box)) for k in kept]
    return [one for one in named if one.centre[2] > 0 and one.centre[3] > 0]


def _write(slices: Sequence[Slice], found: Sequence[Sequence[Detection]], show: bool | Path | str, one: bool) -> None:
    target = Path("detections.png" if one else "detections") if show is True else Path(str(show))
    name: Callable[[int], Path] = (lambda _: target) if one else (lambda i: target / f"{i}.png")
    for index, (slice_, detections) in enumerate(zip(slices, found, strict=True)):
        path = name(index)
        _, coded = cv2.imencode(path.suffix or ".png", draw(slice_.picture, detections)[..., ::-1])
        write_bytes(path, coded.tobytes())
