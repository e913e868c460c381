from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cascade.cli.main import main
from cascade.cli.train.main import main as train
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.datasets import open_cases
from cascade.metrics.score import score
from cascade.reading import read
from cascade.training.packed import is_packed, packed
from cascade.writing import load_findings, write_dicom, write_nifti
from cascade.writing.volume import write_volume
from tests.cli.conftest import SMALL


def test_a_set_has_an_index_and_the_truth_of_each_study(simulated: Path):
    rows = list(csv.DictReader((simulated / "index.csv").read_text().splitlines()))
    assert [row["study"] for row in rows] == ["seed-00005"]
    truth = load_findings(simulated / "seed-00005" / "truth")
    assert int(rows[0]["emboli"]) == len(truth.lesions or ()) >= 1


def test_truth_lies_on_the_grid_of_the_study_that_is_read_back(simulated: Path):
    study = read(simulated / "seed-00005" / "ct")
    truth = load_findings(simulated / "seed-00005" / "truth")
    assert score(truth, truth).dice == 1.0
    np.testing.assert_allclose(study.grid.affine, truth.grid.affine, atol=1e-6)
    clot, artery = study.hu[truth.mask()], truth.arteries
    assert artery is not None
    blood = study.hu[(artery.full(study.grid.shape) > 0) & ~truth.mask()]
    # The rims of thin arteries are half lung; what is open shows in the brightest voxels.
    assert np.percentile(clot, 90) < np.percentile(blood, 90)


def test_the_same_seed_gives_the_same_bytes(simulated: Path, tmp_path: Path):
    arguments = ["simulate", "-o", str(tmp_path / "again"), "--seed", "5", "--emboli", "2", *SMALL]
    assert main(arguments) == 0
    files = sorted(path for path in simulated.rglob("*") if path.is_file())
    assert len(files) > 10
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(simulated)).read_bytes(), path.name


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_set_leaves_nothing(how: signal.Signals, tmp_path: Path):
    command = [sys.executable, "-m", "cascade", "simulate", "-n", "999", "-o", str(tmp_path / "set"), *SMALL]
    # A shell that runs the tests in the background has them ignore SIGINT, and a child would inherit that.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    while not list(tmp_path.glob(".set.*")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(how)
    process.communicate()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["simulate", "-o", str(tmp_path / "set"), "simulation.noise=[1,2]"]) == 2
    assert "did you mean 'simulation.noise_hu'" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--arteries", "{0}"], "name it with --paint-into STUDY"),
        (["--paint-into", "{0}", "--anatomy", "{0}"], "leave --anatomy out"),
        (["--paint-into", "{0}", "--emboli", "0"], "leave --emboli 0 out"),
        (["--bundle", "{0}"], "name it with --paint-into STUDY"),
        (["--paint-into", "{0}", "--arteries", "{0}", "--bundle", "{0}"], "leave --bundle out"),
        (["--paint-into", "{0}", "--workers", "2"], "leave --workers out"),
        (["--paint-into", "{0}", "--split", "train"], "--split train chooses among label maps"),
        (["--split", "train"], "name their folder by --anatomy"),
        (["--split", "train", "--anatomy", "{0}"], "name their folder by --anatomy"),
        (
            ["--paint-into", "{0}", "simulation.noise_hu=[10,20]"],
            "simulation.noise_hu would change nothing; leave it out",
        ),
        (["--paint-into", "{0}", "simulation.emboli=[0,0]"], "--paint-into paints at least one embolus"),
        (["--emboli", "3", "simulation.emboli=[5,5]"], "--emboli and simulation.emboli both say"),
        (["--emboli", "0", "simulation.positive=1"], "--emboli and simulation.positive both say"),
    ],
)
def test_an_option_that_would_be_passed_over_is_refused(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "ct.nii.gz").touch()
    given = [option.format(tmp_path / "ct.nii.gz") for option in options]
    assert main(["simulate", "-o", str(tmp_path / "set"), *given]) == 2
    assert told in capsys.readouterr().err


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A scan with a bright artery that forks, and the mask of it, as NIfTI."""
    folder = tmp_path_factory.mktemp("scan")
    grid = Grid.simple((60, 128, 128), (1.5, 1.0, 1.0))
    z, y, x = np.indices(grid.shape)
    stem = (z < 30) & ((y - 64) ** 2 + (x - 64) ** 2 < 100)
    artery = stem | (((y - 64) ** 2 + ((z - 30) * 1.5) ** 2 < 64) & (np.abs(x - 64) < 50))
    body = (np.abs(y - 64) < 50) & (np.abs(x - 64) < 58)
    hu = np.where(artery, 350, np.where(body, 40, -1000)).astype(np.int16)
    write_nifti(Study(hu, grid), folder / "ct.nii.gz")
    write_volume(folder / "arteries.nii.gz", artery.astype(np.uint8), grid)
    return folder / "ct.nii.gz", folder / "arteries.nii.gz"


def test_clots_are_painted_into_a_scan_that_is_one_file(scan: tuple[Path, Path], tmp_path: Path):
    ct, arteries = scan
    out = tmp_path / "set"
    assert (
        main(["simulate", "-o", str(out), "--paint-into", str(ct), "--arteries", str(arteries), "--format", "nifti"])
        == 0
    )
    before, after = read(ct), read(out / "seed-00000" / "ct.nii.gz")
    clots = load_findings(out / "seed-00000" / "truth").mask()
    assert clots.any()
    told = json.loads((out / "seed-00000" / "truth" / "exam.json").read_text())["lesions"]
    assert sum(row["volume_mm3"] for row in told) == pytest.approx(clots.sum() * after.grid.voxel_mm3, rel=1e-3)
    assert after.hu[clots].mean() < before.hu[clots].mean() - 100


def test_packed_studies_are_the_same_studies_packed(simulated: Path, tmp_path: Path):
    out = tmp_path / "packed"
    command = ["simulate", "-o", str(out), "--seed", "5", "--emboli", "2", "--format", "packed", *SMALL]
    assert main(command) == 0
    assert {path.name for path in out.iterdir()} == {"index.csv", "seed-00005.case"}
    (case,), (whole,) = open_cases(out), open_cases(simulated)
    assert is_packed(out / "seed-00005.case", 2.0)
    assert (case.name, case.patient, case.kind) == (whole.name, whole.patient, whole.kind)
    theirs = packed(whole)
    assert case.study.grid.shape == theirs.study.grid.shape
    assert np.abs(case.study.hu - theirs.study.hu).max() <= 1
    for ours, other in ((case.truth.embolus, theirs.truth.embolus), (case.truth.arteries, theirs.truth.arteries)):
        assert ours is not None
        assert other is not None
        assert np.abs(ours.values.astype(int) - other.values).max() <= 1
    assert case.truth.labels is not None
    assert theirs.truth.labels is not None
    assert np.array_equal(case.truth.labels.values, theirs.truth.labels.values)
    assert case.truth.exam is not None
    assert case.truth.exam.decision == "positive"
    assert (out / "seed-00005.case").stat().st_size < 30e6
    assert main([*command, "--workers", "2"]) == 0, "what the command wrote is replaced"


def test_a_painted_scan_is_packed_as_its_patient(scan: tuple[Path, Path], tmp_path: Path):
    ct, arteries = scan
    out = tmp_path / "set"
    onto = ["--paint-into", str(ct), "--arteries", str(arteries), "--format", "packed"]
    assert main(["simulate", "-o", str(out), *onto]) == 0
    (case,) = open_cases(out)
    assert case.kind == "hybrid"
    assert not case.patient.startswith("onto-")
    assert case.truth.mask().any()


def test_outlines_beside_a_scan_are_never_passed_over(
    scan: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for patient in ("a", "b"):
        write_dicom(read(scan[0]), tmp_path / patient / "ct")
        (tmp_path / patient / "embolus.nii.gz").touch()
    for onto, told in ((tmp_path / "a" / "ct", "name the folder that holds both"), (tmp_path, "several studies")):
        assert main(["simulate", "-o", str(tmp_path / "set"), "--paint-into", str(onto)]) == 2
        assert told in capsys.readouterr().err
        assert not (tmp_path / "set").exists()


def test_a_label_map_that_is_not_there_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["simulate", "-o", str(tmp_path / "set"), "--anatomy", str(tmp_path / "maps")]) == 3
    assert "E_NOT_FOUND" in capsys.readouterr().err


def test_a_wrong_setting_is_refused_by_its_name_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["simulate", "-o", str(tmp_path / "set"), "simulation.noise_hu=[-1,2]"]) == 2
    assert "E_SIMULATION: simulation.noise_hu is [-1, 2]; each number must be from 0.1" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_every_label_map_is_opened_before_the_first_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, number in (("a", 1), ("b", 2)):
        labels = np.full((8, 8, 8), number, np.uint8)
        write_volume(tmp_path / "maps" / f"{name}.nii.gz", labels, Grid.simple(labels.shape, (1.0, 1.0, 1.0)))
    command = ["simulate", "-o", str(tmp_path / "set"), "--anatomy", str(tmp_path / "maps")]
    # The first study, of an odd seed, is painted on the second map.
    assert main([*command, "-n", "2", "--seed", "1", *SMALL]) == 2
    assert "E_SIMULATION: label map a.nii.gz lacks labels [2, 3]" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_set_is_what_training_reads(simulated: Path, capsys: pytest.CaptureFixture[str]):
    assert train(["check", "--data", str(simulated)]) == 0
    told = capsys.readouterr().out
    assert "data: 1 case of 1 patient (1 procedural)" in told
    assert "data: embolism in 1 case, none in 0, unknown in 0" in told


def test_patients_on_both_sides_of_the_split_are_refused(simulated: Path, capsys: pytest.CaptureFixture[str]):
    assert train(["check", "--data", str(simulated), "--validation", str(simulated)]) == 3
    assert "E_SPLIT" in capsys.readouterr().err
