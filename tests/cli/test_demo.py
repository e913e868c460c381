from __future__ import annotations

from pathlib import Path

import pytest

from cascade.cli.main import main
from cascade.core.files import is_done


def test_a_demo_on_a_study_of_ones_own_says_where_to_look(
    study: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "demo"
    for _ in range(2):  # the second one replaces the first
        assert main(["demo", str(study), "-o", str(out), "--bundle", str(bundle), "--runtime", "torch"]) == 0
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert is_done(out / "results")
    said = capsys.readouterr()
    assert said.out == ""
    assert str(out / "demo.png") in said.err
