"""The one error of the simulator."""

from __future__ import annotations

from cascade.core.errors import UsageError


class SimulationError(UsageError):
    """A config, label map or folder that no study can be simulated from. Nothing was written."""

    def __init__(self, text: str) -> None:
        super().__init__(text, code="E_SIMULATION")
