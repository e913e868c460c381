"""One small procedural anatomy and one small positive study, shared by the tests of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from cascade.simulation import Anatomy, Simulated, Simulation, simulate
from cascade.simulation.procedural import build

SMALL = Simulation(
    canvas_mm=2.0,
    matrix=160,
    slice_mm=(3.0,),
    slice_weights=(1.0,),
    positive=1.0,
    emboli=(2, 4),
    burden_ml=(6.0, 30.0),
    crop=0.0,
)


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    return build(np.random.default_rng(0), tips=60)


@pytest.fixture(scope="session")
def positive(anatomy: Anatomy) -> Simulated:
    return simulate(SMALL, 3, anatomy)
