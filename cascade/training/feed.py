"""Samples in order, drawn in this process or in several: the same ones either way."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

Draw = Callable[[int], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""The sample of an index: its view and its target. It must not depend on what was drawn before."""
Batch = tuple[torch.Tensor, torch.Tensor]

_FEW_CORES = 8


def usual_workers() -> int:
    """Processes that draw samples: none on a small machine, else the cores less two for the training itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores < _FEW_CORES else min(cores - 2, 14)


def feed(draw: Draw, indices: Iterable[int], batch: int, workers: int, device: torch.device) -> Generator[Batch]:
    """Batches of views (channels last) and targets on the device, in the order of the indices.

    Args:
        draw: Gives the sample of an index.
        indices: Which samples; the last batch may be smaller.
        batch: Samples a batch.
        workers: Processes that draw; 0 for this one. They are forked, so that they share the cases' memory; where
            OpenVINO is loaded, this process draws by itself, and says so in a warning.
        device: Where the batches go.
    """
    workers = workers_beside_openvino(workers)
    threads = cv2.getNumThreads()
    if workers:
        # Threads do not survive a fork, and a pool that waits for them hangs: there must be none.
        cv2.setNumThreads(1)
    loader = DataLoader(
        _Drawn(draw),
        batch_size=batch,
        sampler=_Order(indices),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_alone if workers else None,
        prefetch_factor=4 if workers else None,
        persistent_workers=workers > 0,
        multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
        # A loader takes a seed for its workers: not from the numbers that the network's dropout is drawn from.
        generator=torch.Generator(),
    )
    try:
        for views, targets in loader:
            yield views.to(device, non_blocking=True), targets.to(device, non_blocking=True)
    finally:
        cv2.setNumThreads(threads)


def workers_beside_openvino(workers: int) -> int:
    """No worker where OpenVINO is loaded: a fork of a process in which it has run crashes."""
    if workers and "openvino" in sys.modules:
        text = "OpenVINO is loaded, and its threads do not survive a fork: samples are drawn without worker processes"
        warnings.warn(f"{text}; train in a process of its own for speed", RuntimeWarning, stacklevel=3)
        return 0
    return workers


def device_of(network: nn.Module) -> torch.device:
    """Where a network is; the CPU for one without parameters."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


class _Drawn(Dataset[Any]):
    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def __getitem__(self, index: int) -> Batch:
        view, target = self.draw(index)
        return torch.from_numpy(view), torch.from_numpy(target)


class _Order(Sampler[int]):
    """The samples in the order that was asked for; how many they are need not be known."""

    def __init__(self, indices: Iterable[int]) -> None:
        self._indices = indices

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)


def _alone(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
