"""Detection on single images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cascade.core.errors import UsageError
from cascade.core.windows import WINDOWS
from detectors import LungDetector
from detectors.detect import Detection, detect, draw
from detectors.images import open_image
from tests.analytic_dicom import ORIENTATIONS, dataset, write


def dark(batch: np.ndarray) -> np.ndarray:
    """A network of one idea: the right lung is the box around the dark part of each view's left half."""
    rows = np.zeros((len(batch), 6, 2), np.float32)
    for i, view in enumerate(batch):
        inner = ((view[0] > 0.28) & (view[0] < 0.6)).astype(np.uint8)
        inner = cv2.morphologyEx(inner, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
        for side in range(2):
            half = inner.copy()
            half[:, 128:] &= side == 1
            half[:, :128] &= side == 0
            if half.any():
                y, x = np.flatnonzero(half.any(axis=1)), np.flatnonzero(half.any(axis=0))
                rows[i, :4, side] = x[0], y[0], x[-1] + 1, y[-1] + 1
                rows[i, 4 + side, side] = 0.9 - 0.1 * side
    return rows


STAGE = LungDetector({"yolo": dark})


def picture(height: int = 200, width: int = 240) -> np.ndarray:
    """HU of two square lungs in a body, in air: the right one at x 40..100, y 50..150."""
    hu = np.full((height, width), -1000, np.int16)
    hu[20 : height - 20, 20 : width - 20] = 40
    hu[50:150, 40:100] = -850
    hu[50:150, 140:200] = -850
    return hu


def near(detection: Detection, box: tuple[float, float, float, float]) -> bool:
    return bool(np.allclose(detection.box, box, atol=2.0))


def test_one_image_gives_one_list_by_falling_score() -> None:
    found = detect(picture(), STAGE, pixel_mm=1.5)
    assert [d.label for d in found] == ["right lung", "left lung"]
    assert near(found[0], (40, 50, 100, 150))
    assert near(found[1], (140, 50, 200, 150))


def test_the_centre_form_is_the_same_box() -> None:
    assert Detection("right lung", 0.5, (10, 20, 30, 60)).centre == (20, 40, 20, 40)


def test_many_images_of_mixed_sizes_give_what_a_loop_gives() -> None:
    images = [picture(), picture(220, 300), picture(201, 255), picture(), picture(300, 260)]
    assert detect(images, STAGE) == [detect(image, STAGE) for image in images]


def test_no_images_give_no_lists() -> None:
    assert detect([], STAGE) == []


def test_the_same_slice_as_hu_as_grey_levels_and_as_windows_gives_the_same_boxes(tmp_path: Path) -> None:
    hu = picture()
    grey = WINDOWS["lung"].to_bytes(hu)
    colour = np.stack([WINDOWS[n].to_bytes(hu) for n in ("lung", "pe", "mediastinal")], axis=-1)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "windows.png"), colour[..., ::-1])
    kinds = [hu, hu.astype(np.float64), grey, colour, tmp_path / "grey.png", str(tmp_path / "windows.png")]
    for found in detect(kinds, STAGE, pixel_mm=1.5):
        assert near(found[0], (40, 50, 100, 150))


def test_windows_of_a_picture_are_not_mixed_up(tmp_path: Path) -> None:
    colour = np.zeros((64, 64, 3), np.uint8)
    colour[..., 0], colour[..., 1] = 255, 128
    cv2.imwrite(str(tmp_path / "a.png"), colour[..., ::-1])
    view = open_image(tmp_path / "a.png", STAGE.config).view[:, 128, 128]
    assert view.tolist() == pytest.approx([1, 128 / 255, 0])


def test_the_threshold_drops_boxes() -> None:
    assert [d.label for d in detect(picture(), STAGE, pixel_mm=1.5, threshold=0.85)] == ["right lung"]


@pytest.mark.parametrize("option", [{"threshold": 2.0}, {"iou": -0.1}, {"pixel_mm": 0.0}])
def test_numbers_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        detect(picture(), STAGE, **option)  # type: ignore[call-overload]  # wrong on purpose


@pytest.mark.parametrize("image", [np.zeros((4, 4, 4)), np.zeros((8, 8), np.uint16), np.zeros(5), np.zeros((0, 5))])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="image"):
        detect(image, STAGE)


def test_a_missing_file_and_a_text_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        with pytest.raises(UsageError, match=path.name):
            detect(path, STAGE)


def test_boxes_are_drawn_into_a_copy() -> None:
    image = WINDOWS["lung"].to_bytes(picture())
    before = image.copy()
    drawn = draw(image, [Detection("right lung", 0.9, (40, 50, 100, 150))])
    assert drawn.shape == (*image.shape, 3)
    assert len(np.unique(drawn[100, 40])) > 1
    assert np.array_equal(image, before)


def test_show_writes_one_picture_or_a_folder_of_them(tmp_path: Path) -> None:
    detect(picture(), STAGE, show=tmp_path / "one.png")
    detect([picture(), picture()], STAGE, show=tmp_path / "many")
    assert cv2.imread(str(tmp_path / "one.png")).shape == (200, 240, 3)
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == ["0.png", "1.png"]


@pytest.mark.parametrize("way", ["axial", "prone", "mirrored", "upside down", "transposed"])
def test_boxes_lie_in_the_pixels_of_the_dicom_file_and_sides_in_the_patient(tmp_path: Path, way: str) -> None:
    hu = picture()
    cosines = ORIENTATIONS[way]
    ds = dataset(hu, 0, (0, 0, 0), cosines, (1.5, 1.5))
    ds.RescaleSlope, ds.RescaleIntercept, ds.SliceThickness = "1", "0", "2"
    write(tmp_path, [ds])
    found = {d.label: d for d in detect(tmp_path / "000.dcm", STAGE)}
    first, second = (40, 50, 100, 150), (140, 50, 200, 150)
    if way in ("axial", "upside down"):  # columns run to the patient's left
        assert near(found["right lung"], first)
        assert near(found["left lung"], second)
    elif way in ("prone", "mirrored"):
        assert near(found["right lung"], second)
        assert near(found["left lung"], first)
    else:  # rows run to the patient's left, and both squares lie in the upper and the lower half of them
        assert found["right lung"].box[3] <= found["left lung"].box[3]


def test_a_picture_of_an_unknown_ending_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"use \.png or \.jpg"):
        detect(picture(), STAGE, show=tmp_path / "one.zzz")
    assert not list(tmp_path.iterdir())
