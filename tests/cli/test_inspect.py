from __future__ import annotations

import json
from pathlib import Path

import pytest

from cascade.cli.main import main


def test_a_study_is_told_in_lines(slab: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(slab)]) == 0
    told = capsys.readouterr().out
    assert "slices: 24\n" in told
    assert "spacing_mm: 2.5, 5.0, 5.0\n" in told


def test_a_bundle_is_told_as_json_after_its_hashes_were_checked(bundle: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(bundle), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in told["stages"]] == ["lung_detector", "lung_filter", "siamese", "embolus"]
    assert len(told["sha256"]) == 64


def test_a_training_runs_bundle_is_told_by_the_runs_folder(bundle: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "bundle").symlink_to(bundle, target_is_directory=True)
    assert main(["inspect", str(run)]) == 0
