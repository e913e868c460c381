from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from cascade.cli.train.classifier import Classifier
from cascade.cli.train.command import TrainingCommand
from cascade.cli.train.detector import Detector
from cascade.cli.train.segmenter import Segmenter
from cascade.core.errors import UsageError
from cascade.training.arguments import run_arguments
from cascade.training.classifier import ClassifierTraining, LungFilterTraining, SiameseTraining
from cascade.training.coarse_stage import CoarseTraining
from cascade.training.crops import CropConfig
from cascade.training.detector import LungDetectorTraining
from cascade.training.losses import LossConfig
from cascade.training.plan import Plan
from cascade.training.run import Run
from cascade.training.segmentation import TRAININGS as SEGMENTATIONS
from cascade.training.segmenter import SegmenterTraining
from cascade.training.start import refuse_others
from cascade.training.volume_change import VolumeChange
from cascade.training.volumes import VolumeCrops
from classifiers.lung_filter import LungFilterConfig
from detectors.pictures import Looks
from detectors.training import DetectorTraining
from segmenters.coarse import CoarseConfig


def stopped(folder: Path, settings: object = SegmenterTraining(net="tiny_attention_resunet")) -> Path:
    """A run that has begun, and was stopped."""
    run = Run(folder / "run", run_arguments(settings, [folder / "learn"], [folder / "held"], None, {"cases": 3}))
    run.state.parent.mkdir()
    run.state.touch()
    return run.folder


UNUSUAL = {
    "segmenter": SegmenterTraining(
        net="tiny_attention_resunet",
        arguments={"width": 8},
        add_member=True,
        plan=Plan(steps=77, learning_rate=3e-5, workers=0),
        crops=CropConfig(size=(64, 96), shares={"real": 1.0}),
        dataset="stored",
    ),
    "coarse": CoarseTraining(
        arguments={"widths": [8, 16]},
        start=Path("/weights.safetensors"),
        assume_negative=True,
        stage=CoarseConfig(step_mm=3.0),
        crops=VolumeCrops(size=(16, 24, 32), kinds={"labelled": 1.0}),
        change=VolumeChange(elastic=0.0),
    ),
    "lung filter": LungFilterTraining(net="timm", slices_per_case=7, config=LungFilterConfig(size=64)),
    "siamese": SiameseTraining(loss=LossConfig({"symmetric": 1.0}), start=Path("/weights.safetensors"), fusion=False),
    "detector": LungDetectorTraining(training=DetectorTraining(looks=2, spread=Looks(flip=0.0))),
}
COMMANDS: dict[type, type[TrainingCommand]] = {
    SegmenterTraining: Segmenter,
    CoarseTraining: Segmenter,
    LungDetectorTraining: Detector,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_resumed_run_has_the_settings_and_sources_that_it_had(name: str, tmp_path: Path) -> None:
    settings = UNUSUAL[name]
    command = COMMANDS.get(type(settings), Classifier)(resume=stopped(tmp_path, settings)).resumed()
    assert (command.data, command.validation) == ((tmp_path / "learn",), (tmp_path / "held",))
    assert command.bundle is None
    if isinstance(command, Classifier):
        assert isinstance(settings, ClassifierTraining)
        assert command.stage_name() == settings.stage
    if isinstance(command, Segmenter):
        assert isinstance(settings, SEGMENTATIONS[command.stage_name()])  # type: ignore[arg-type]  # classes all
    assert command.settings(type(settings)()) == settings


def test_what_is_given_with_resume_goes_before_what_the_run_had(tmp_path: Path) -> None:
    moved, run = (tmp_path / "moved",), stopped(tmp_path, UNUSUAL["segmenter"])
    command = Segmenter(resume=run, data=moved, steps=99, overrides=("plan.workers=3",)).resumed()
    assert command.data == moved
    expected = replace(Plan(steps=77, learning_rate=3e-5), steps=99, workers=3)
    assert command.settings(SegmenterTraining()).plan == expected


def test_runs_of_earlier_versions_are_resumed_by_what_their_settings_are_called_now(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    (run / "args.yaml").write_text(SEGMENTER_OF_0_1)
    settings = Segmenter(resume=run).resumed().settings(SegmenterTraining())
    assert (settings.add_member, settings.net, settings.arguments) == (True, "tiny_unet", {"width": 4})
    assert settings.plan == Plan(steps=77, precision="bf16", workers=1)
    (run / "args.yaml").write_text(CLASSIFIER_OF_0_1)
    command = Classifier(resume=run).resumed()
    assert command.stage_name() == "siamese"
    slices = command.settings(SiameseTraining()).slices
    assert (slices.margin, slices.augment.blur) == (11, 0.5)


SEGMENTER_OF_0_1 = """
data: [/learn]
validation: []
dataset: null
start: null
bundle: null
net: tiny_unet
beside: true
arguments: {width: 4}
stage: {pixel_mm: 1.25, slices: 7}
plan: {steps: 77, precision: bf16, workers: 1}
crops: {size: [144, 144]}
cases: 3
target_ratio: 0.01
"""
CLASSIFIER_OF_0_1 = """
data: [/learn]
validation: []
dataset: null
start: null
bundle: null
stage: siamese
net: siamese
arguments: {}
config: {size: 64}
plan: {steps: 9}
planes: {margin: 11, shares: {embolus: 1.0}, augment: {blur: 0.5}}
slices: 600
validation_slices: 0
"""


def test_resume_takes_no_folder_for_a_new_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave -o out"):
        Segmenter(resume=stopped(tmp_path), out=tmp_path / "new").resumed()
    assert Segmenter(resume=tmp_path / "run").folder("segmenter") == tmp_path / "run"


def test_a_run_of_another_command_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"E_RESUME.*is the run of another command"):
        Detector(resume=stopped(tmp_path)).resumed()


@pytest.mark.parametrize("text", ["a: [", "- 3", "net: unet"])
def test_a_run_that_does_not_hold_its_settings_is_not_resumed(tmp_path: Path, text: str) -> None:
    run = stopped(tmp_path)
    (run / "args.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"E_RESUME.*does not hold the settings of a run"):
        Segmenter(resume=run).resumed()


def test_a_run_is_not_resumed_for_fewer_steps_than_it_has_done(tmp_path: Path) -> None:
    run = Run(stopped(tmp_path), {}, resume=True)
    run.refuse_ended(40, 50)
    with pytest.raises(UsageError, match=r"E_RESUME.*has done 50 steps already, plan.steps is 50; give more"):
        run.refuse_ended(50, 50)
    (run.folder / "checkpoints" / "best").mkdir()
    run.refuse_ended(50, 50)  # killed at its very end: what is left is to write the bundle


def test_a_run_is_not_resumed_with_another_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"E_START.*another network: 1 tensors differ, 'weight' first"):
        refuse_others(nn.Linear(2, 1), nn.Linear(3, 1).state_dict(), tmp_path / "state.safetensors")


def test_an_interrupted_training_says_how_to_go_on() -> None:
    assert "goes on with --resume runs/one" in Segmenter(out=Path("runs/one")).left()


def test_a_run_that_has_ended_is_not_resumed(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    (run / "bundle").mkdir()
    (run / "bundle" / "manifest.json").touch()
    with pytest.raises(UsageError, match="has ended"):
        Segmenter(resume=run).resumed()


def test_a_run_whose_rate_stays_is_taken_up_again_after_its_end(tmp_path: Path) -> None:
    run = stopped(tmp_path, SegmenterTraining(plan=Plan(steps=50, schedule="constant")))
    (run / "bundle").mkdir()
    (run / "bundle" / "manifest.json").touch()
    assert Segmenter(resume=run, minutes=8.0).resumed().settings(SegmenterTraining()).plan.minutes == 8
    (run / "checkpoints" / "best").mkdir()
    with pytest.raises(UsageError, match=r"E_RESUME.*has done 50 steps already, plan.steps is 50; give more"):
        Run(run, {}, resume=True).refuse_ended(50, 50)


def test_a_run_with_a_setting_of_another_form_is_not_resumed(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    text = (run / "args.yaml").read_text()
    (run / "args.yaml").write_text(text.replace("batch: 8", "batch: many"))
    with pytest.raises(UsageError, match=r"E_RESUME.*args\.yaml: plan\.batch must be int, got 'many'"):
        Segmenter(resume=run).settings(SegmenterTraining())


def test_epochs_are_counted_in_evaluations() -> None:
    command = Segmenter(epochs=3, overrides=("plan.evaluate_every=40",))
    assert command.settings(SegmenterTraining()).plan.steps == 120
    with pytest.raises(UsageError, match="give one of them"):
        replace(command, steps=3).settings(SegmenterTraining())
