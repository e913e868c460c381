from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cascade.bench.accuracy import alone
from cascade.bench.speed import simulated_study, time_run
from cascade.cascade import Cascade
from cascade.cli.bench import main
from cascade.errors import InputError
from cascade.reading import read


def test_members_stand_beside_the_cascade(
    simulated: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["accuracy", str(simulated), "--members", "-o", str(tmp_path / "out"), "--bundle", str(bundle)]
    assert main([*arguments, "--runtime", "torch"]) == 0
    assert "cascade" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "accuracy.csv").open()))
    assert [row["variant"] for row in rows] == ["cascade", "attention_resunet", "tiny_attention_resunet"]
    told = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    assert told["figures"]["cascade"]["studies"] == 1


def test_a_member_is_the_cascade_with_one_network(bundle: Path):
    cascade = Cascade.load(bundle, device="cpu", runtime="torch")
    members = alone(cascade)
    assert [list(member.learned[-1].nets) for member in members.values()] == [[name] for name in members]
    assert len(cascade.learned[-1].nets) == 2


def test_a_run_is_timed_in_a_process_of_its_own(study: Path, bundle: Path):
    timing = time_run(study, ["--bundle", str(bundle), "--runtime", "torch"])
    assert {"loading", "reading", "lung_detector", "embolus", "fusion"} <= set(timing.stages)
    assert timing.wall_s > sum(timing.stages.values())
    assert timing.peak_mb > 100


def test_a_run_that_fails_says_why(tmp_path: Path, bundle: Path):
    with pytest.raises(InputError, match="E_NOT_FOUND"):
        time_run(tmp_path / "absent", ["--bundle", str(bundle)])


@pytest.mark.slow
def test_the_timed_study_has_exactly_so_many_slices(tmp_path: Path):
    study = read(simulated_study(tmp_path, 300))
    assert study.hu.shape == (300, 512, 512)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["accuracy"], "nothing to measure"),
        (["realism"], "nothing to look at"),
        (["realism", "--simulated", "-3"], "--simulated is -3"),
        (["realism", "--simulated", "1", "--split", "train"], "give their folder with --anatomy"),
        (["sheets", "--simulated", "0", "-o", "OUT"], "nothing to look at"),
        (["sheets", "--seed", "-1", "-o", "OUT"], "--seed is -1"),
        (["sheets", "--size", "3", "-o", "OUT"], "--size is 3"),
        (["sheets", "--real", "ABSENT", "-o", "OUT"], "ABSENT does not exist"),
        (["emboli", "FILE", "--simulated", "0"], "--simulated is 0"),
        (["emboli", "FILE", "--seed", "-1"], "--seed is -1"),
        (["emboli", "FILE", "-o", "FILE"], "results cannot go to"),
        (["realism", "--simulated", "1", "-o", "FILE"], "results cannot go to"),
        (["accuracy", "--seeds", "0", "-o", "FILE"], "results cannot go to"),
        (["speed", "-o", "FILE"], "results cannot go to"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_work(
    command: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "FILE").write_bytes(b"")
    assert main([str(tmp_path / word) if word in ("FILE", "OUT") else word for word in command]) in (2, 3)
    told = capsys.readouterr()
    assert sentence in told.err
    assert not told.out
    assert not (tmp_path / "OUT").exists()
