from __future__ import annotations

from pathlib import Path

import pytest

from cascade.cli.bench.accuracy import numbers
from cascade.cli.main import main
from cascade.cli.options import existing, named, output_formats
from cascade.cli.overrides import override, parsed
from cascade.cli.simulate import MOST_EMBOLI, anatomies, emboli_range, patient_of
from cascade.cli.train.training import new_run
from cascade.core.errors import InputError, UsageError
from cascade.core.folder import stem
from cascade.core.windows import Window
from cascade.runtime import RUNTIMES
from cascade.simulation.config import LIMITS


def test_output_types_always_hold_json():
    assert output_formats("csv, NIFTI") == ("json", "csv", "nifti")


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


def test_label_maps_are_those_of_the_split(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "split.csv").write_text("id,split\na,train\nb,test\n")
    assert [p.name for p in anatomies(tmp_path, "train")] == ["a.nii.gz"]
    assert len(anatomies(tmp_path, "")) == 2
    with pytest.raises(InputError, match="E_NO_ANATOMY"):
        anatomies(tmp_path, "validation")


@pytest.mark.parametrize("table", ["", "name,split\na,train\n", "id;split\na;train\n"])
def test_a_table_without_the_columns_of_a_split_is_refused(tmp_path: Path, table: str):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "split.csv").write_text(table)
    with pytest.raises(UsageError, match=r"--split train needs the columns id and split in .*split\.csv"):
        anatomies(tmp_path, "train")


def test_an_override_replaces_one_value():
    settings = override({"window": Window(40, 400), "arguments": {}}, ["window.width=350", "arguments.width=16"])
    assert settings == {"window": Window(40, 350.0), "arguments": {"width": 16}}


def test_an_unknown_override_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'width'"):
        override({"window": Window(40, 400)}, ["window.widht=350"])
    with pytest.raises(UsageError, match="did you mean 'window'"):
        override({"window": Window(40, 400)}, ["windwo.width=350"])


def test_an_override_of_the_wrong_type_is_refused():
    with pytest.raises(UsageError, match=r"window\.width must be float"):
        override({"window": Window(40, 400)}, ["window.width=wide"])


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


def test_a_colon_without_its_space_is_named():
    with pytest.raises(UsageError, match=r"loss\.terms lacks a space after a colon"):
        parsed(["loss.terms={dice:1}"])
    assert parsed(["loss.terms={dice: 1}"]) == [("loss.terms", {"dice": 1})]
