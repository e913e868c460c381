"""The simulator: CT pulmonary angiograms with exact truth, on real label maps or on an anatomy of its own.

`simulate(config, seed, anatomy)` gives a `Study` and its truth as `Findings`.
`outline` gives the emboli alone.
"""

from cascade.phantom.anatomy import Anatomy, load
from cascade.phantom.canvas import LABELS
from cascade.phantom.config import Simulation
from cascade.phantom.errors import PhantomError
from cascade.phantom.many import simulate_many
from cascade.phantom.simulate import Simulated, outline, simulate

__all__ = [
    "LABELS",
    "Anatomy",
    "PhantomError",
    "Simulated",
    "Simulation",
    "load",
    "outline",
    "simulate",
    "simulate_many",
]
