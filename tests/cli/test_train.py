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
from cascade.cli.overrides import changed, from_file
from cascade.cli.train.classifier import Classifier
from cascade.cli.train.detector import Detector
from cascade.cli.train.main import main
from cascade.cli.train.segmenter import Segmenter
from cascade.core.errors import UsageError
from cascade.training.losses import SEGMENTATION
from cascade.training.plan import Plan
from detectors.training import DetectorTraining
from tests.training.test_segmenter_training import a_case


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    a_case("one").save(folder / "one.case")
    return folder


def test_a_flag_goes_before_an_override_and_an_override_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("plan: {steps: 1, batch: 2, clip: 3.0}\nplan.seed: 4\n")
    command = Segmenter(config=tmp_path / "plan.yaml", overrides=("plan.batch=20", "plan.steps=10"), steps=100)
    plan = command.settings({"plan": Plan()})["plan"]
    assert (plan.steps, plan.batch, plan.clip, plan.seed) == (100, 20, 3.0, 4)


def test_a_mapping_is_replaced_whole_and_a_dataclass_field_by_field() -> None:
    settings = {"loss": SEGMENTATION, "plan": Plan()}
    loss = changed(settings, [("loss.terms", {"focal": 2.0})])["loss"]
    assert (dict(loss.terms), loss.outputs) == ({"focal": 2.0}, SEGMENTATION.outputs)
    assert changed(settings, [("loss.terms.bce", 0.0)])["loss"].terms == {"dice": 1.0, "bce": 0.0}
    assert changed(settings, [("plan", {"steps": 9})])["plan"] == Plan(steps=9)


def test_a_folder_given_for_a_file_of_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no YAML"):
        from_file(tmp_path)


def test_one_value_for_all_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match=r"arguments must be an object, got 3; write arguments.NAME=VALUE"):
        changed({"arguments": {}}, [("arguments", 3)])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("plan: {stepps: 3}", "did you mean 'steps'"),
        ("paln.steps: 3", "did you mean 'plan'"),
        ("plan.steps.more: 3", "goes too deep"),
        ("- 3", "holds no settings"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_file_of_settings_that_says_something_else_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        changed({"plan": Plan()}, from_file(tmp_path / "wrong.yaml"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["segmenter", "--net", "attention_resunett"], "did you mean 'attention_resunet'"),
        (["segmenter", "--dataset", "simulatd"], "did you mean 'simulated'"),
        (["classifier", "--stage", "lung-filtre"], "did you mean 'lung_filter'"),
        (["classifier", "--net", "efficentnet"], "did you mean 'efficientnet'"),
        (["detector", "--net", "yolo11nn"], "did you mean 'yolo11n'"),
        (["segmenter", "loss.terms={dise: 1}"], "did you mean 'dice'"),
        (["segmenter", "crops.size=[50,48]"], "multiples of 16"),
        (["segmenter", "plan.learning_rate=0"], r"plan\.learning_rate is 0"),
        (["classifier", "slices.crop=2"], r"planes\.crop is 2"),
        (["detector", "training.epochs=0"], r"training\.epochs is 0"),
        (["detector"], "give --validation FOLDER"),
        (["segmenter", "plan.precision=fp16"], r"plan\.precision must be one of"),
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


TINY = ["arguments={width: 4, levels: 2}", "crops.size=[32,32]", "plan.evaluate_every=2", "plan.workers=0"]


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
        Segmenter().again()
    assert Segmenter(out=Path("run")).again().quiet
    with pytest.raises(UsageError, match="leave torchrun out"):
        Detector().run()


def test_the_detectors_flags_are_those_of_its_trainer() -> None:
    command = Detector(
        net="yolov8s", epochs=3, batch_size=4, learning_rate=1e-3, seed=7, overrides=("training.looks=2",)
    )
    expected = DetectorTraining(yaml="yolov8s.yaml", epochs=3, batch=4, rate=1e-3, seed=7, looks=2)
    assert command.settings({"training": DetectorTraining()})["training"] == expected


def test_a_stage_may_be_written_with_a_hyphen() -> None:
    assert Classifier().stage == "lung-filter"


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
    ("command", "package"), [("segmenter", segmenters), ("classifier", classifiers)], ids=["segmenter", "classifier"]
)
def test_the_help_of_a_training_names_every_network(
    command: str, package: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert words >= package.NETWORKS.keys()
