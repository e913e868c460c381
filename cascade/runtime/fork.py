"""What a forked process does not inherit: the threads of its parent, and whoever would let go of a lock."""

from __future__ import annotations

import ctypes
import os
import threading
from types import TracebackType

_torch_ran_in = os.getpid()
"""Loading a network runs torch, and so may the program that loads it: a child is one of a process where torch ran."""


class ProcessLock:
    """A lock that a forked child never inherits locked: each process has its own."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def __enter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.Lock()).acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._locks[os.getpid()].release()


def never_destroy(thing: object) -> None:
    """Keep an object whose destructor waits for threads that a fork left behind, beyond the end of the interpreter."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def before_torch_runs() -> None:
    """Let torch go on with one thread in a child of a process where it has run.

    The threads of its pool (OpenMP's) stay behind in the parent, and a child waits for them for ever.
    """
    global _torch_ran_in
    process = os.getpid()
    if _torch_ran_in != process:
        import torch

        torch.set_num_threads(1)
    _torch_ran_in = process
