"""What the stages make of data sets, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascade.bundle import save
from cascade.cli.train.main import main
from cascade.datasets.case import Case
from cascade.training.images import ImageConfig, write_images
from tests.datasets.test_lung_boxes import line, truth_boxes, yolo
from tests.datasets.trees import patient, rsna
from tests.small_bundle import small_bundle


def train(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.slow
def test_an_exam_that_its_readers_left_open_judges_no_fusion(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rsna(tmp_path / "rsna", "aaa", negative_exam_for_pe=1)
    rsna(tmp_path / "rsna", "ccc", indeterminate=1)
    save(small_bundle(), tmp_path / "bundle")
    assert train("fusion", "--data", tmp_path / "rsna", "--bundle", tmp_path / "bundle", "-o", tmp_path / "out") == 2
    assert "got 0 and 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["siamese", "lung_filter"])
def test_classifiers_learn_from_pictures_and_dicom_together(tmp_path: Path, stage: str):
    cases = [Case("a", "p1", "labelled", *patient()), Case("b", "p2", "labelled", *patient(clots=(), seed=3))]
    write_images(cases, tmp_path / "pictures", ImageConfig(size=96))
    rsna(tmp_path / "rsna", "aaa", central_pe=1)
    rsna(tmp_path / "rsna", "bbb", negative_exam_for_pe=1)
    sets = ("--data", tmp_path / "pictures", "--validation", tmp_path / "rsna", "-o", tmp_path / "run")
    how = ("--stage", stage, "--imagenet", "no", "--steps", 2)
    assert train("classifier", "plan.evaluate_every=2", *how, *sets) == 0
    assert (tmp_path / "run" / "bundle" / "manifest.json").is_file()


@pytest.mark.slow
def test_the_detector_learns_from_yolo_folders(tmp_path: Path):
    right, left = truth_boxes()
    for part in ("train", "val"):
        yolo(tmp_path / "yolo", "[right lung, left lung]", [line(0, right), line(1, left)], part)
    parts = ("--data", tmp_path / "yolo/images/train", "--validation", tmp_path / "yolo/images/val")
    assert train("detector", "training.looks=2", *parts, "--epochs", 1, "-o", tmp_path / "run") == 0
    assert (tmp_path / "run" / "bundle" / "manifest.json").is_file()
    labels = sorted((tmp_path / "run" / "pictures" / "labels" / "val").glob("*.txt"))
    assert [len(path.read_text().splitlines()) for path in labels] == [2, 0]
