"""Boxes of lungs on single slices: right and left in the patient, and what the detector learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from cascade.anatomy.lungs import find_lungs
from cascade.core.errors import InputError
from cascade.datasets import open_cases
from cascade.datasets.case import Case
from cascade.datasets.lung_boxes import sides
from cascade.datasets.rgb_windows import to_picture
from detectors.lung_detector import LungDetectorConfig
from detectors.pictures import plain
from tests.datasets.trees import dicom, patient, table

MIDDLE = 40


def truth_boxes() -> np.ndarray:
    """The lungs of the middle slice by threshold: right and left, x0, y0, x1, y1."""
    return find_lungs(patient()[0]).boxes[MIDDLE]


def picture(path: Path) -> tuple[int, int]:
    """The middle slice as a picture; its rows and columns."""
    hu = patient()[0].hu[MIDDLE]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), to_picture(hu)[..., ::-1])
    return hu.shape


def assert_lungs(case: Case, within: float = 1.0) -> None:
    assert case.study.grid.shape[0] == 1
    assert case.truth.lungs is not None
    np.testing.assert_allclose(case.truth.lungs.boxes[0], truth_boxes(), atol=within)
    assert case.truth.slices is not None
    assert case.truth.slices.lung[0] == 1


def yolo(folder: Path, names: str, lines: list[str], part: str = "train") -> Path:
    picture(folder / "images" / part / "P1_0001.png")
    picture(folder / "images" / part / "P1_0002.png")
    (folder / "labels" / part).mkdir(parents=True)
    (folder / "labels" / part / "P1_0001.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames: {names}\n")
    return folder


def line(number: int, box: np.ndarray) -> str:
    rows, columns = patient()[0].hu.shape[1:]
    x0, y0, x1, y1 = box
    fractions = ((x0 + x1) / 2 / columns, (y0 + y1) / 2 / rows, (x1 - x0) / columns, (y1 - y0) / rows)
    return f"{number} " + " ".join(f"{v:.6f}" for v in fractions)


def test_yolo_boxes_with_named_sides_are_these_lungs_whatever_their_numbers(tmp_path: Path):
    right, left = truth_boxes()
    yolo(tmp_path, "[left lung, heart, right lung]", [line(2, right), line(0, left), line(1, left)])
    with_boxes, without = open_cases(tmp_path)
    assert_lungs(with_boxes)
    assert (with_boxes.patient, with_boxes.kind) == ("P1", "labelled")
    assert without.truth.slices is not None
    assert without.truth.slices.lung[0] == 0, "a picture without a label file shows no lung"


def test_yolo_boxes_without_sides_go_by_place(tmp_path: Path):
    right, left = truth_boxes()
    yolo(tmp_path, "{0: lung}", [line(0, left), line(0, right)])
    assert_lungs(next(open_cases(tmp_path)))


def test_a_box_around_both_lungs_is_parted_between_them(tmp_path: Path):
    right, left = truth_boxes()
    both = np.concatenate([np.minimum(right, left)[:2], np.maximum(right, left)[2:]])
    yolo(tmp_path, "{0: lungs}", [line(0, both)])
    assert_lungs(next(open_cases(tmp_path)), within=2.0)


def test_one_part_of_a_yolo_set_is_named_by_its_folder(tmp_path: Path):
    yolo(tmp_path, "{0: lungs}", [], "train")
    yolo(tmp_path, "{0: lungs}", [], "val")
    assert len(list(open_cases(tmp_path / "images" / "val"))) == 2
    assert len(list(open_cases(tmp_path))) == 4


def test_classes_without_lungs_are_refused(tmp_path: Path):
    yolo(tmp_path, "[pancreas]", [])
    with pytest.raises(InputError, match=r"has the classes pancreas; the detector learns lungs"):
        list(open_cases(tmp_path))


def test_a_broken_label_line_is_named(tmp_path: Path):
    yolo(tmp_path, "[lungs]", ["0 0.5 0.5 0.2"])
    with pytest.raises(InputError, match=r"P1_0001.png: line 1 of P1_0001.txt is '0 0.5 0.5 0.2'"):
        list(open_cases(tmp_path))


def test_lung_bbox_finds_its_slice_by_sop_and_cuts_to_the_picture(tmp_path: Path):
    study, _ = patient()
    sops = dicom(tmp_path / "train" / "s1" / "x", study)
    names = sorted((tmp_path / "train" / "s1" / "x").iterdir())
    for file, sop in zip(names, sops, strict=True):
        file.rename(file.with_name(f"{sop}.dcm"))
    right, left = truth_boxes()
    rows, columns = study.hu.shape[1:]
    box = (right[0] / columns, right[1] / rows, left[2] / columns, left[3] / rows)
    ids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    table(tmp_path / "train.csv", ids, [("s1", "x", sop) for sop in sops])
    head = ("Image", "Xmin", "Ymin", "Xmax", "Ymax")
    table(tmp_path / "lung_bbox.csv", head, [(sops[MIDDLE], *box), (sops[5], 0.1, 0.2, 1.0019, 0.8)])
    first, wide = open_cases(tmp_path, "lung_bbox")
    assert_lungs(first, within=2.0)
    assert (first.name, first.patient) == (sops[MIDDLE], "s1")
    assert wide.truth.lungs is not None
    assert wide.truth.lungs.boxes[0, 1, 2] == columns


def test_boxes_of_a_mirrored_slice_come_into_the_patients_order(tmp_path: Path):
    study, _ = patient()
    dicom(tmp_path / "all", study)
    path = sorted((tmp_path / "all").iterdir())[MIDDLE]
    slice_ = pydicom.dcmread(path)
    columns = slice_.Columns
    pixels = np.ascontiguousarray(slice_.pixel_array[:, ::-1])
    position = [float(v) for v in slice_.ImagePositionPatient]
    position[0] += (columns - 1) * float(slice_.PixelSpacing[1])
    slice_.PixelData, slice_.ImagePositionPatient = pixels.tobytes(), position
    slice_.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    slice_.save_as(tmp_path / "P5_1.dcm")
    lines = []
    for label, (x0, y0, x1, y1) in zip(("right", "left"), truth_boxes(), strict=True):
        lines.append(("P5_1.dcm", label, columns - x1, y0, columns - x0, y1))
    table(tmp_path / "boxes.csv", ("file", "label", "x0", "y0", "x1", "y1"), lines)
    (case,) = open_cases(tmp_path)
    assert_lungs(case)
    assert case.patient == "P5"


def test_the_detector_learns_the_boxes_that_were_drawn(tmp_path: Path):
    right, left = truth_boxes()
    drawn = np.array([right + np.array([5, 5, 0, 0]), left])
    yolo(tmp_path, "[right lung, left lung]", [line(0, drawn[0]), line(1, drawn[1])])
    (tmp_path / "dataset.yaml").write_text("options: {pixel_mm: 4.0}\n")
    case = next(open_cases(tmp_path))
    assert case.truth.lungs is not None
    config = LungDetectorConfig(pixel_mm=4.0, size=96)
    (made,) = plain(case.study, sides(case.truth.lungs, case.study.grid), config)
    assert [box[0] for box in made.boxes] == [0, 1]
    sizes = [(x1 - x0, y1 - y0) for _, x0, y0, x1, y1 in made.boxes]
    np.testing.assert_allclose(sizes, [(b[2] - b[0], b[3] - b[1]) for b in drawn], atol=1.01)
    empty = replace(case.truth.lungs, boxes=np.full((1, 2, 4), np.nan, np.float32))
    (background,) = plain(case.study, sides(empty, case.study.grid), config)
    assert background.boxes == ()
