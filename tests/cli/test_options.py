from __future__ import annotations

from pathlib import Path

import pytest

from cascade.cli.bench.accuracy import numbers
from cascade.cli.main import main
from cascade.cli.options import existing, named, output_formats
from cascade.cli.simulate import MOST_EMBOLI, emboli_range, patient_of
from cascade.cli.train.command import new_run
from cascade.core.errors import InputError, UsageError
from cascade.core.folder import stem
from cascade.runtime import RUNTIMES
from cascade.simulation.config import LIMITS


def test_output_types_always_hold_json():
    assert output_formats("csv, NIFTI") == ("nifti", "csv", "json")


def test_a_wrong_output_type_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="'nifty' in --formats; did you mean 'nifti'"):
        output_formats("json,nifty")


def test_runtimes_go_by_the_names_of_the_list():
    assert named("auto") is None
    assert [named(name) for name in RUNTIMES] == list(RUNTIMES)
    with pytest.raises(UsageError, match="'torhc' in --runtime; did you mean 'torch'"):
        named("torhc")


def test_a_study_is_called_after_its_file_without_endings():
    assert stem(Path("a/chest.1.nii.gz")) == "chest.1"
    assert stem(Path("a/b.c")) == "b.c"


def test_emboli_are_a_count_or_a_range():
    assert emboli_range("0") == {"positive": 0.0}
    assert emboli_range("3") == {"emboli": (3, 3), "positive": 1.0}
    assert emboli_range("0-4") == {"emboli": (1, 4)}
    assert emboli_range("") == {}


@pytest.mark.parametrize("text", ["many", "-3", "5-1", "1-"])
def test_other_counts_of_emboli_are_refused(text: str):
    with pytest.raises(UsageError, match="--emboli"):
        emboli_range(text)


def test_seeds_are_numbers_and_ranges():
    assert numbers("0-2, 7") == [0, 1, 2, 7]
    assert numbers("") == []


def test_a_training_run_never_takes_a_used_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "segmenter").mkdir(parents=True)
    assert new_run(None, "segmenter") == Path("runs/segmenter2")


@pytest.mark.parametrize("text", ["5-1", "1-99999999999"])
def test_seeds_that_count_down_or_without_end_are_refused(text: str):
    with pytest.raises(UsageError, match="must count up"):
        numbers(text)


def test_more_emboli_than_arteries_hold_are_refused():
    with pytest.raises(UsageError, match="at most 50"):
        emboli_range("9999999")
    assert LIMITS["emboli"] == (0, MOST_EMBOLI)  # a setting may say no more than the option


def test_a_setting_behind_an_option_that_takes_many_is_explained():
    with pytest.raises(InputError, match="stands before the options"):
        existing(Path("plan.learning_rate=1"))


def test_a_file_that_is_no_study_is_not_asked_for_as_one():
    with pytest.raises(InputError) as caught:
        existing(Path("absent.yaml"))
    assert "DICOM" not in str(caught.value)


@pytest.mark.parametrize("command", ["simulate", "demo"])
def test_a_seed_under_zero_is_a_usage_error(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([command, "--seed", "-5", "-o", str(tmp_path / "out")]) == 2
    assert "--seed is -5" in capsys.readouterr().err


def test_a_study_painted_onto_is_called_after_its_patient(tmp_path: Path):
    assert patient_of(tmp_path / "patient-7" / "ct") == "patient-7"
    assert patient_of(tmp_path / "patient-7.nii.gz") == "patient-7"
