"""A wheel built from the tree, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from cascade.core.version import head

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_of_the_tree_is_in_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    tops = ("cascade", "detectors", "segmenters", "classifiers")
    found = {".".join(p.parent.relative_to(ROOT).parts) for top in tops for p in (ROOT / top).rglob("__init__.py")}
    assert sorted(found | {"cascade.weights"}) == sorted(listed)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "-o", str(out), str(ROOT)], check=True, capture_output=True
    )
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_the_weights_and_no_tests(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "cascade/cli/run.py",
        "detectors/__init__.py",
        "cascade/writing/findings.schema.json",
        "cascade/py.typed",
    ):
        assert name in names
    assert {f"cascade/weights/{p.name}" for p in (ROOT / "weights").glob("*.*")} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "weights/", "scratch"))]


@pytest.mark.slow
def test_the_wheel_finds_its_weights_and_runs(wheel: Path, tmp_path: Path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    # The dependencies are those of this environment: a path is added, its .pth files (and with them an editable
    # install of this tree) are not.
    (
        tmp_path / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages" / "more.pth"
    ).write_text(sysconfig.get_path("purelib"))
    environment = {**os.environ, "PYTHONPATH": ""}
    where = subprocess.run(
        [python, "-c", "import cascade.bundle as b; print(b.default_path())"],
        check=True, capture_output=True, text=True, cwd=tmp_path, env=environment,
    ).stdout  # fmt: skip
    assert where.strip().startswith(str(tmp_path / "env"))
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "cascade", "demo", "-o", "demo", "--seed", "1"], cwd=tmp_path, env=environment
    )
    assert done.returncode == 0
    assert (tmp_path / "demo" / "results" / "DONE").is_file()


@pytest.mark.slow
def test_the_wheel_says_which_commit_it_was_made_from(wheel: Path):
    commit = head(ROOT)
    if commit is None:
        pytest.skip("not a checkout")
    assert zipfile.ZipFile(wheel).read("cascade/core/commit.txt").decode().strip() == commit
