"""How far something is, for whoever wants to know: a bar at a terminal, a notebook, or `Timings`."""

from __future__ import annotations

import time
from typing import Protocol


class Progress(Protocol):
    """Called while something is done: by each stage as it goes on, and once more when it has come to its end."""

    def __call__(self, name: str, done: int, total: int, /) -> None:
        """Say how far it is.

        Args:
            name: What is being done: "reading", or a stage's name.
            done: How much of it is done.
            total: How much there is; the last call of a name has `done == total`.
        """


class Timings:
    """A progress that measures: the time since the call before counts for the name of the call.

    Args:
        shown: Another progress to pass every call on to.

    Attributes:
        seconds: By name, in the order of their first calls.
    """

    def __init__(self, shown: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._shown = shown
        self._last = time.perf_counter()

    def __call__(self, name: str, done: int, total: int, /) -> None:
        """Count the time since the call before, and pass the call on."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
        if self._shown is not None:
            self._shown(name, done, total)
