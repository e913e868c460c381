from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cascade.bench.accuracy import alone
from cascade.bench.speed import simulated_study, time_run
from cascade.cli.bench.main import main
from cascade.core.errors import InputError
from cascade.pipeline import Cascade
from cascade.reading import read


def test_members_stand_beside_the_cascade(
    simulated: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["accuracy", str(simulated), "--members", "-o", str(tmp_path / "out"), "--bundle", str(bundle)]
    assert main([*arguments, "--runtime", "torch"]) == 0
    assert "cascade" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "accuracy.csv").read_text().splitlines()))
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


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sheets -o {0}/out --simulated 0", "nothing to show; give --real STUDY, --simulated 20, or both"),
        ("sheets -o {0}/out --simulated -2", "--simulated is -2"),
        ("sheets -o {0}/out --seed -1", "--seed is -1"),
        ("sheets -o {0}/out --size 0", "--size is 0; it must be from 32 to 2048"),
        ("sheets -o {0}/out --size 100000", "--size is 100000"),
        ("sheets -o {0}/out --split train", "name their folder by --anatomy"),
        ("sheets -o {0}/file", "file is a file; results take a folder"),
        ("sheets -o {0}/out --levels knee", "--levels names knee; choose from"),
        ("realism", "nothing to show"),
        ("realism --simulated 0", "nothing to show"),
        ("realism --simulated -1", "--simulated is -1"),
        ("realism --simulated 1 --seed -1", "--seed is -1"),
        ("realism --simulated 1 --split train", "name their folder by --anatomy"),
        ("realism --simulated 1 -o {0}/file/out", "file is a file; results take a folder"),
        ("realism --real {0}/a/scan.nii.gz {0}/b/scan.nii.gz", "2 of the real studies are called scan"),
        ("realism --real {0}/a/scan.nii.gz --anatomy {0}", "give --simulated 20 as well"),
        ("accuracy", "nothing to measure"),
        ("accuracy {0} --anatomy {0}", "give --seeds 0-19 or --frozen FILE as well"),
        ("accuracy --seeds 0-3,2", "names a seed twice"),
        ("accuracy --seeds 0 -o {0}/file", "file is a file; results take a folder"),
        ("speed --slices 100000", "--slices 100000"),
        ("speed -o {0}/file", "file is a file; results take a folder"),
    ],
)
def test_nothing_to_show_and_nowhere_to_put_it_are_refused_in_a_sentence(
    command: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scan.nii.gz").touch()
    assert main(command.format(tmp_path).split()) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_frozen_set_is_read_before_the_networks_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "set.yaml").write_text("name: small\n")
    command = ["accuracy", "--frozen", str(tmp_path / "set.yaml"), "--anatomy", str(tmp_path)]
    assert main([*command, "--bundle", str(tmp_path / "no bundle")]) == 3
    assert "E_NO_DATASET: set.yaml does not describe a frozen set: split is missing" in capsys.readouterr().err


@pytest.mark.slow
def test_the_timed_study_has_exactly_so_many_slices(tmp_path: Path):
    study = read(simulated_study(tmp_path, 300))
    assert study.hu.shape == (300, 512, 512)
