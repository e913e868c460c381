"""Where emboli are put, and of which kind they are."""

from __future__ import annotations

from dataclasses import replace

from cascade.core.findings import PLACES
from cascade.simulation import Simulation, simulate

FAST = Simulation(canvas_mm=2.0, matrix=160, positive=1.0, emboli=(3, 6), slice_mm=(2.5,), slice_weights=(1.0,))


def test_a_filled_study_has_none_but_clots_that_fill_branches_whole() -> None:
    kinds, places = set(), set()
    for seed in (3, 4):
        made = simulate(replace(FAST, filled=1.0), seed)
        kinds |= {one["kind"] for one in made.facts["emboli"]}
        places |= {one["place"] for one in made.facts["emboli"]}
    assert kinds == {"occlusive"}
    assert places <= {name for name, _ in PLACES} - {"central"}
