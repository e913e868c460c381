from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascade.cli.main import main
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.writing import write_dicom

SMALL = [
    "simulation.canvas_mm=2.5",
    "simulation.matrix=128",
    "simulation.slice_mm=[5.0]",
    "simulation.slice_weights=[1]",
]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one small simulated study with emboli."""
    out = tmp_path_factory.mktemp("set") / "set"
    assert main(["simulate", "-o", str(out), "--seed", "5", "--emboli", "2", *SMALL]) == 0
    return out


@pytest.fixture(scope="session")
def study(simulated: Path) -> Path:
    """The DICOM folder of that study."""
    return next(simulated.glob("*/ct"))


@pytest.fixture
def slab(tmp_path: Path) -> Path:
    """A DICOM folder of 24 slices of water in air, which is read in no time."""
    hu = np.full((24, 64, 64), -1000, np.int16)
    hu[:, 16:48, 8:56] = 40
    write_dicom(Study(hu, Grid.simple(hu.shape, (2.5, 5.0, 5.0))), tmp_path / "slab")
    return tmp_path / "slab"
