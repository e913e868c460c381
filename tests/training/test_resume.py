from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from cascade.cli.train.classifier import Classifier
from cascade.cli.train.detector import Detector
from cascade.cli.train.segmenter import Segmenter
from cascade.core.errors import UsageError
from cascade.training.crops import CropConfig
from cascade.training.loop import refuse_others
from cascade.training.plan import Plan
from cascade.training.run import Run, sources


def stopped(folder: Path) -> Path:
    """A run that was asked for unusual things, and stopped."""
    plan, crops = Plan(steps=77, learning_rate=3e-5, workers=0), CropConfig(size=(64, 96), shares={"real": 1.0})
    asked = {"net": "tiny_attention_resunet", "stage": "siamese", "arguments": {"width": 8}, "slices": {}}
    where = sources([folder / "learn"], [folder / "held"], None, None, None)
    run = Run(folder / "run", {**where, **asked, "plan": plan, "crops": crops})
    run.state.parent.mkdir()
    run.state.touch()
    return run.folder


def test_a_resumed_run_is_asked_for_what_it_was_asked_then(tmp_path: Path) -> None:
    command = Segmenter(resume=stopped(tmp_path)).again()
    assert (command.data, command.validation) == ((tmp_path / "learn",), (tmp_path / "held",))
    assert (command.start, command.bundle, command.net) == (None, None, "tiny_attention_resunet")
    settings = command.settings({"arguments": {}, "plan": Plan(), "crops": CropConfig()})
    assert settings == {
        "arguments": {"width": 8},
        "plan": Plan(steps=77, learning_rate=3e-5, workers=0),
        "crops": CropConfig(size=(64, 96), shares={"real": 1.0}),
    }
    assert Classifier(resume=command.resume).again().stage == "siamese"


def test_what_is_given_with_resume_goes_before_what_was_asked(tmp_path: Path) -> None:
    moved = (tmp_path / "moved",)
    command = Segmenter(resume=stopped(tmp_path), data=moved, steps=99, overrides=("plan.workers=3",)).again()
    assert command.data == moved
    expected = replace(Plan(steps=77, learning_rate=3e-5), steps=99, workers=3)
    assert command.settings({"plan": Plan()})["plan"] == expected


def test_resume_takes_no_folder_for_a_new_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave -o out"):
        Segmenter(resume=stopped(tmp_path), out=tmp_path / "new").again()
    assert Segmenter(resume=tmp_path / "run").folder("segmenter") == tmp_path / "run"


def test_a_run_of_another_command_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"E_RESUME.*is the run of another command"):
        Detector(resume=stopped(tmp_path)).again()


@pytest.mark.parametrize("text", ["a: [", "- 3", "net: unet"])
def test_a_run_that_does_not_say_what_it_was_asked_is_not_resumed(tmp_path: Path, text: str) -> None:
    run = stopped(tmp_path)
    (run / "args.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"E_RESUME.*does not say what the run was asked"):
        Segmenter(resume=run).again()


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
        Segmenter(resume=run).again()


def test_epochs_are_counted_in_evaluations() -> None:
    command = Segmenter(epochs=3, overrides=("plan.evaluate_every=40",))
    assert command.settings({"plan": Plan()})["plan"].steps == 120
    with pytest.raises(UsageError, match="give one of them"):
        replace(command, steps=3).settings({"plan": Plan()})
