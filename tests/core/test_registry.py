"""Names to classes, and whose packages they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cascade.core.errors import UsageError
from cascade.core.registry import PACKAGES, build, refuse_shadowed

ROOT = Path(__file__).resolve().parents[2]


def test_the_packages_of_networks_are_ours() -> None:
    refuse_shadowed()


@pytest.mark.parametrize("name", PACKAGES)
def test_another_package_of_that_name_is_said_in_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
    program += "from cascade.core.registry import refuse_shadowed; refuse_shadowed()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    said = done.stderr.strip().splitlines()[-1]
    assert "E_SHADOWED" in said
    assert f"{name!r} in {tmp_path / name}" in said


@pytest.mark.parametrize("module", ["cascade.training.segmenter", "cascade.bench.accuracy"])
def test_a_training_beside_another_package_of_that_name_ended_in_an_import_error(module: str, tmp_path: Path) -> None:
    (tmp_path / "segmenters.py").write_text("")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "UsageError: E_SHADOWED: Python finds the package 'segmenters' in" in done.stderr.strip().splitlines()[-1]


def test_a_misspelt_argument_of_a_network_was_answered_with_the_name_of_a_class() -> None:
    table = {"order": "cascade.core.grid:Order"}
    with pytest.raises(UsageError, match=r"network 'order' has no argument 'flip'; did you mean 'flips'\?$"):
        build(table, "order", {"flip": 1})
