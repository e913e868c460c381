"""Many studies, over processes: each is handed to a function where it was made, so that no volume travels."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from cascade.simulation.anatomy import load
from cascade.simulation.config import Simulation
from cascade.simulation.simulate import Simulated, simulate

T = TypeVar("T")


def simulate_many(
    config: Simulation,
    seeds: Iterable[int],
    keep: Callable[[int, Simulated], T],
    *,
    anatomies: Sequence[Path] = (),
    workers: int = 1,
) -> Iterator[T]:
    """Simulate a study for each seed, and yield what `keep` makes of it, in the order of the seeds.

    Args:
        config: What may vary.
        seeds: One study each; the result does not depend on `workers`.
        keep: Called with seed and study in the process that made it, to write it or cut samples; with more than one
            worker it must be a function of a module.
        anatomies: Label maps that take turns by seed; none means procedural anatomies.
        workers: Processes; a study takes about 1.2 GB in each.
    """
    jobs = ((seed, anatomies[seed % len(anatomies)] if anatomies else None) for seed in seeds)
    if workers <= 1:
        for seed, anatomy in jobs:
            yield _one(config, seed, anatomy, keep)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[T]] = deque()
        for seed, anatomy in jobs:
            waiting.append(pool.submit(_one, config, seed, anatomy, keep))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _one(config: Simulation, seed: int, anatomy: Path | None, keep: Callable[[int, Simulated], T]) -> T:
    return keep(seed, simulate(config, seed, None if anatomy is None else load(anatomy)))
