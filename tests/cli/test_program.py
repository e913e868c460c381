from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cascade.cli.bench.main import main as bench
from cascade.cli.main import main
from cascade.cli.program import Command, Program, settings_first
from cascade.cli.train.main import main as train
from cascade.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Fail(Command):
    """Fail in a chosen way."""

    how: str

    def run(self) -> int:
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "input":
            raise InputError("E_MISSING_SLICES", "series 4 lacks\n3 slices; export it again")
        raise RuntimeError("wires crossed")


FAIL = Program("fail", "Fails.", {"fail": Fail, "again": Fail})


def test_an_error_of_ours_is_one_sentence_and_its_exit_code(capsys: pytest.CaptureFixture[str]):
    assert FAIL(["fail", "--how", "input"]) == 3
    said = capsys.readouterr()
    assert said.err == "error: E_MISSING_SLICES: series 4 lacks 3 slices; export it again\n"
    assert said.out == ""


def test_an_unexpected_error_is_one_sentence_that_names_the_way_to_its_traceback(capsys: pytest.CaptureFixture[str]):
    assert FAIL(["fail", "--how", "crash"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "RuntimeError: wires crossed" in said
    assert "-vv" in said


def test_a_traceback_comes_with_vv_only(capsys: pytest.CaptureFixture[str]):
    FAIL(["fail", "--how", "crash", "-v"])
    assert "Traceback" not in capsys.readouterr().err
    assert FAIL(["fail", "--how", "input", "-vv"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupted_command_exits_130():
    assert FAIL(["fail", "--how", "interrupt"]) == 130


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "no command is named; known: run, simulate, convert, demo, inspect; see `cascade --help`"),
        ("rum", "unknown command 'rum'; did you mean 'run'? see `cascade --help`"),
        ("run --outt X", "unknown option '--outt'; did you mean '--out'? see `cascade run --help`"),
        ("run STUDY -o OUT --paint 3", "unknown option '--paint'; see `cascade run --help`"),
        ("run STUDY", "run needs -o OUT or --out OUT; see `cascade run --help`"),
        ("convert", "convert needs SRC and DST; see `cascade convert --help`"),
        ("simulate --seed 1.5", "--seed takes a whole number, got '1.5'; see `cascade simulate --help`"),
        ("simulate --seed", "--seed needs a value; see `cascade simulate --help`"),
        (
            "simulate --format x",
            "--format cannot be 'x'; choose from 'dicom', 'nifti', 'packed'; see `cascade simulate --help`",
        ),
        ("demo A B", "unexpected B; nothing takes it there; see `cascade demo --help`"),
    ],
)
def test_a_wrong_command_line_printed_a_box_of_many_lines(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: E_USAGE: {sentence}\n"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("segmenter --data A B plan.steps=3 -o RUN", "segmenter plan.steps=3 --data A B -o RUN"),
        ("segmenter --data A loss.terms={dice:1} plan.seed=2", "segmenter loss.terms={dice:1} plan.seed=2 --data A"),
        ("segmenter plan.steps=3 --data A", "segmenter plan.steps=3 --data A"),
        ("segmenter --data a=b C -o x=y", "segmenter --data a=b C -o x=y"),
        ("segmenter --data /d/a=b", "segmenter --data /d/a=b"),
        ("segmenter -q a=1 b.c=2 --data A", "segmenter a=1 b.c=2 -q --data A"),
        ("segmenter a=1 --out=RUN b=2 --data A", "segmenter a=1 b=2 --out=RUN --data A"),
        ("segmenter --add-member a=1 --data A b=2", "segmenter a=1 b=2 --add-member --data A"),
    ],
)
def test_settings_may_stand_behind_an_option_of_many_values(given: str, meant: str):
    assert settings_first(given.split(), {"-q", "--add-member"}) == meant.split()


def test_a_setting_behind_the_data_is_not_taken_for_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert train(["segmenter", "--data", str(tmp_path), "plan.stepz=3", "-o", str(tmp_path / "run")]) == 2
    assert "plan.stepz" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cascade ")


@pytest.mark.parametrize("command", ["run", "simulate", "convert", "demo", "inspect"])
def test_help_of_each_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "--help"]) == 0
    assert f"cascade {command} " in capsys.readouterr().out.split("For example:")[1]


@pytest.mark.parametrize("program", [main, train, bench])
def test_help_of_a_program_names_its_commands(program: Program, capsys: pytest.CaptureFixture[str]):
    assert program(["--help"]) == 0
    assert "subcommands" in capsys.readouterr().out


def test_nothing_to_measure_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert bench(["accuracy"]) == 2
    assert "--seeds" in capsys.readouterr().err


def test_training_without_data_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert train(["segmenter"]) == 2
    assert "--data" in capsys.readouterr().err


def in_a_pipe(command: str) -> tuple[int, str]:
    """What a command at the head of a pipe answers, whose reader has left before the first word."""
    script = f"{{ sleep 1; {command}; echo $? >&2; }} | true"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=100, check=True).stderr
    *words, code = said.splitlines()
    return int(code), "\n".join(words)


@pytest.mark.parametrize("arguments", ["--help", "--version", "inspect {bundle}", "inspect {slab} --json"])
def test_a_reader_that_has_had_enough_is_no_error(arguments: str, bundle: Path, slab: Path):
    program = f"{sys.executable} -m cascade"
    assert in_a_pipe(f"{program} {arguments.format(bundle=bundle, slab=slab)}") == (0, "")


def test_a_full_disk_is_no_error_of_ours(slab: Path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cascade", "inspect", slab], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error: E_FILE: ")
    assert "No space left" in done.stderr
