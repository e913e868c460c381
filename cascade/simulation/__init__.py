"""The simulator: CT pulmonary angiograms with exact truth, on real label maps or on an anatomy of its own.

`simulate(config, seed, anatomy)` gives a `Study` and its truth as `Findings`.
`outline` gives the emboli alone.
"""

from cascade.simulation.anatomy import Anatomy, load
from cascade.simulation.canvas import LABELS
from cascade.simulation.config import Simulation
from cascade.simulation.errors import SimulationError
from cascade.simulation.many import simulate_many
from cascade.simulation.simulate import Simulated, outline, simulate

__all__ = [
    "LABELS",
    "Anatomy",
    "Simulated",
    "Simulation",
    "SimulationError",
    "load",
    "outline",
    "simulate",
    "simulate_many",
]
