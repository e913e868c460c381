from __future__ import annotations

import re
import resource
import shutil
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

import classifiers
import segmenters
from cascade.cli.train.classifier import Classifier
from cascade.cli.train.detector import Detector
from cascade.cli.train.main import main
from cascade.cli.train.segmenter import Segmenter
from cascade.core.errors import UsageError
from cascade.training import precision
from cascade.training.classifier import TRAININGS
from cascade.training.detector import LungDetectorTraining
from detectors.training import DetectorTraining
from segmenters import coarse
from tests.training.test_segmenter_training import a_case


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    a_case("one").save(folder / "one.case")
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["segmenter", "--net", "attention_resunett"], "did you mean 'attention_resunet'"),
        (["segmenter", "--stage", "coarse", "--net", "attention_resunet"], "did you mean 'attention_resunet_3d'"),
        (["segmenter", "--stage", "coarse", "crops.size=[50,48,48]"], "does not take samples of 2 x 50 x 48 x 48"),
        (["segmenter", "--stage", "emblus"], "did you mean 'embolus'"),
        (["segmenter", "--dataset", "simulatd"], "did you mean 'simulated'"),
        (["classifier", "--stage", "lung-filtre"], "did you mean 'lung_filter'"),
        (["classifier", "--net", "efficentnet"], "did you mean 'efficientnet'"),
        (["detector", "--net", "yolo11nn"], "did you mean 'yolo11n.yaml'"),
        (["segmenter", "loss.terms={dise: 1}"], "did you mean 'dice'"),
        (["segmenter", "crops.size=[50,48]"], "multiples of 16"),
        (["segmenter", "plan.learning_rate=0"], r"plan\.learning_rate is 0"),
        (["classifier", "slices.crop=2"], r"slices\.crop is 2"),
        (["detector", "training.epochs=0"], r"training\.epochs is 0"),
        (["detector"], "give --validation FOLDER"),
        (["segmenter", "plan.precision=fp16"], r"plan\.precision must be one of 'auto', 'bf16', 'fp32', got 'fp16'"),
        (["segmenter", "--steps", "3", "--epochs", "3"], "--steps and --epochs say the same; give one of them"),
        (["segmenter", "plan.steps=3", "--epochs", "3"], "plan.steps and --epochs say the same; give one of them"),
        (["segmenter", "--net", "tiny_unet", "augment.blur=.inf"], r"augment\.blur is inf; it must be a number from 0"),
        (["detector", "training.spread.scale=0"], r"training\.spread\.scale is 0\.0; it must be a number over 0"),
        (["detector", "training.device=tpu", "--validation", "."], "device 'tpu' is not known; say auto, cpu, gpu"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_before_a_folder_is_made(
    arguments: list[str], sentence: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--data", str(data), "-o", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: E_")
    assert re.search(sentence, line)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_seen_before_anything_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # as shutil gives it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    (data / "one.case").write_bytes(b"not read")
    assert main(["segmenter", "--data", str(data), "-o", str(tmp_path / "run")]) == 3
    assert "E_NO_ROOM" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


TINY = [
    *("arguments={width: 4, levels: 2}", "crops.size=[32,32]"),
    *("plan.evaluate_every=2", "plan.workers=0", "plan.precision=fp32"),
]


def test_a_disk_that_runs_full_ends_the_training_with_one_sentence_and_no_half_files(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    command = ["segmenter", *TINY, "--net", "tiny_attention_resunet", "--steps", "2", "--data", str(data)]
    # No file may grow beyond what args.yaml takes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))
    try:
        assert main([*command, "-o", str(tmp_path / "run")]) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: E_OUTPUT: state.safetensors cannot be written")
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == ["args.yaml"]


@pytest.mark.parametrize("command", ["segmenter", "classifier", "detector"])
def test_data_that_cannot_be_read_leave_no_run_behind(
    command: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (data / "one.case").read_bytes()
    (data / "two.case").write_bytes(whole[: len(whole) // 2])
    assert main([command, "--data", str(data), "-o", str(tmp_path / "run")]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: E_")
    assert not (tmp_path / "run").exists()


def test_a_used_folder_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept.txt").write_text("x")
    (data / "one.case").write_bytes(b"not read")
    for command in ("segmenter", "classifier", "detector"):
        assert main([command, "--data", str(data), "-o", str(tmp_path / "run")]) == 2
        assert "E_RUN_EXISTS" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kept.txt"]


def test_processes_that_train_together_need_one_folder_and_one_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match="give -o RUN"):
        Segmenter().resumed()
    assert Segmenter(out=Path("run")).resumed().quiet
    with pytest.raises(UsageError, match="leave torchrun out"):
        Detector().run()


def test_the_detectors_flags_are_those_of_its_trainer() -> None:
    command = Detector(
        net="yolov8s", epochs=3, batch_size=4, learning_rate=1e-3, seed=7, overrides=("training.looks=2",)
    )
    expected = DetectorTraining(yaml="yolov8s.yaml", epochs=3, batch=4, rate=1e-3, seed=7, looks=2)
    assert command.settings(LungDetectorTraining()).training == expected


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (Classifier(), "lung_filter"),
        (Classifier(stage="lung-filter"), "lung_filter"),
        (Classifier(stage="siamese"), "siamese"),
        (Classifier(overrides=("stage=siamese",)), "siamese"),
        (Classifier(overrides=("stage=siamese",), stage="lung-filter"), "lung_filter"),
    ],
)
def test_the_stage_of_a_classifier_is_a_flag_or_a_setting(command: Classifier, stage: str) -> None:
    assert command.stage_name() == stage
    assert command.settings(TRAININGS[stage]()).stage == stage


def test_the_precision_that_is_chosen_is_said_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [word for word in TINY if "precision" not in word]
    command = ["segmenter", *settings, "--net", "tiny_attention_resunet", "--steps", "1", "--data", str(data)]
    for has, name in ((False, "fp32"), (True, "bf16")):
        monkeypatch.setattr(precision, "has_bf16", lambda _, has=has: has)
        assert main([*command, "-o", str(tmp_path / name)]) == 0
        assert f"precision {name}: the processor has" in capsys.readouterr().err
        assert f"precision: {name}" in (tmp_path / name / "args.yaml").read_text()


def test_a_line_an_evaluation_is_said_where_no_terminal_looks(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["segmenter", *TINY, "--net", "tiny_attention_resunet", "--epochs", "2", "--batch-size", "1"]
    assert main([*command, "--data", str(data), "-o", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in said] == ["step 2 of 4", "step 4 of 4", said[-1].split(",")[0]]
    assert said[-1].startswith("no fusion was fitted: there are no exams")
    assert (tmp_path / "run" / "bundle" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("command", "package"),
    [("segmenter", segmenters), ("segmenter", coarse), ("classifier", classifiers)],
    ids=["embolus", "coarse", "classifier"],
)
def test_the_help_of_a_training_names_every_network(
    command: str, package: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert words >= package.NETWORKS.keys()
