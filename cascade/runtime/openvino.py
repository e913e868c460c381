"""OpenVINO on the CPU: two to four times eager torch, and no torch in the process once a compiled form is cached.

The cache serves speed alone. A file's name holds the key of the network (its weights' hash, the hash of the code
that reads them, versions), and the files hold a graph and numbers, no code. A third file holds the hash of both: a
form that was cut off or changed still runs, with other answers, so it is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from cascade.runtime.blueprint import Blueprint, RuntimeNet
from cascade.runtime.fork import ProcessLock, before_torch_runs, never_destroy
from cascade.runtime.switches import cache_folder, cores, offline

with offline():
    import openvino as ov

MOST_KEPT = 40
"""So many compiled forms stay in the cache, 4 to 13 MB each; the oldest go first."""

SEAL = ".sha256"

_COMPILING = ProcessLock()

Shape = tuple[int, ...]
Requests = SimpleQueue[Any]

_OPEN: WeakSet[Requests] = WeakSet()
"""The requests of every network that is open in this process."""


def _leave_to_the_parent() -> None:
    """In a forked child: what the parent opened can neither run nor be destroyed there."""
    for requests in _OPEN:
        never_destroy(requests)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


class OpenVinoNet(RuntimeNet):
    """A network compiled for this CPU, in float32.

    Every sample is inferred by itself, on one core, as many at a time as there are cores: a sample's answer cannot
    depend on its neighbours, and on two cores this is faster than one batch over both (measured: 3.35 against
    5.0 ms a slice for an EfficientNet-lite0).

    It is built and converted only where no compiled form is found, and compiled at once where the blueprint knows the
    shape. Callers share the compiled network's infer requests: each takes what is free, and waits where nothing is.
    OpenVINO's threads do not survive a fork, so a forked child compiles for itself, from the cache where it can.
    """

    wanted: ClassVar[str] = "f32"

    def __init__(self, blueprint: Blueprint, device: str = "cpu") -> None:
        super().__init__(blueprint, device)
        self._free: dict[tuple[int, Shape], Requests] = {}
        if blueprint.input is not None:
            self.requests(blueprint.input)

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 logits `[n, ...]`."""
        free = self.requests(batch.shape[1:])
        outputs: list[NDArray[np.float32]] = []
        while len(outputs) < len(batch):
            requests = _take(free, len(batch) - len(outputs))
            try:
                for request, sample in zip(requests, batch[len(outputs) :], strict=False):
                    request.start_async({0: np.ascontiguousarray(sample[None], dtype=np.float32)})
                for request in requests:
                    request.wait()
                    outputs.append(np.array(request.get_output_tensor(0).data[0], dtype=np.float32))
            finally:
                for request in requests:
                    with contextlib.suppress(RuntimeError):
                        request.wait()  # one that an error left running is nobody's to take
                    free.put(request)
        return np.stack(outputs)

    def requests(self, shape: Shape) -> Requests:
        """The infer requests of this process for samples of `shape` `[channel, y, x]`; compiled at their first use."""
        key = (os.getpid(), shape)
        if key not in self._free:
            with _COMPILING:
                if key not in self._free:
                    self._free[key] = self._compile(shape)
        return self._free[key]

    def _compile(self, shape: Shape) -> Requests:
        core = ov.Core()
        streams = min(cores(), 8)
        options = {
            # Always said: OpenVINO's own default differs between CPUs.
            "INFERENCE_PRECISION_HINT": precision_of(core, self.wanted),
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
        }
        compiled = core.compile_model(self._model(core, shape), "CPU", options)
        free: Requests = SimpleQueue()
        for _ in range(streams):
            free.put(compiled.create_infer_request())
        _OPEN.add(free)
        return free

    def _model(self, core: Any, shape: Shape) -> Any:
        """The graph, from the cache or converted now."""
        if not self.blueprint.key:
            return convert(self.blueprint, shape)
        path = cache_folder() / "openvino" / compiled_name(self.blueprint.key, shape)
        if is_whole(path):
            with contextlib.suppress(RuntimeError):  # an unreadable form is made anew
                return core.read_model(path)
        model = convert(self.blueprint, shape)
        keep(model, path)
        return model


class OpenVinoBf16Net(OpenVinoNet):
    """The same in bfloat16, where the CPU has it."""

    full_precision: ClassVar[str | None] = "openvino"
    wanted: ClassVar[str] = "bf16"


def _take(free: Requests, most: int) -> list[Any]:
    """One request, and more where they are free: who waits holds none, so that callers never wait for each other."""
    taken = [free.get()]
    with contextlib.suppress(Empty):
        while len(taken) < most:
            taken.append(free.get_nowait())
    return taken


def precision_of(core: Any, wanted: str) -> str:
    """`wanted`, or `f32` on a CPU without it."""
    return wanted if wanted.upper() in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def compiled_name(key: str, shape: Shape) -> str:
    """File name of a compiled form: the network's key, the sample's shape and OpenVINO's version."""
    version = ov.__version__.split("-")[0]
    digest = hashlib.sha256(f"{key} {tuple(shape)} {version}".encode()).hexdigest()
    return f"{digest[:40]}.xml"


def hash_of(path: Path) -> str:
    """SHA-256 over a compiled form's graph and numbers."""
    digest = hashlib.sha256()
    for one in (path, path.with_suffix(".bin")):
        with one.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a compiled form is there, byte for byte as it was kept."""
    try:
        return path.with_suffix(SEAL).read_text(encoding="ascii") == hash_of(path)
    except (OSError, ValueError):
        return False


def convert(blueprint: Blueprint, shape: Shape) -> Any:
    """The graph of a torch module for one sample of `shape` `[channel, y, x]`."""
    import torch

    before_torch_runs()
    module = blueprint.module().float()
    example = torch.zeros((1, *shape))
    with offline(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the tracing that OpenVINO does
        module(example)  # a YOLO head stores its anchors at the first call; tracing must find them there
        return ov.convert_model(module, example_input=example, input=[list(example.shape)])


def keep(model: Any, path: Path) -> None:
    """Write a graph so that it is whole or absent; a folder that cannot be written to costs only time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            ov.save_model(model, part, compress_to_fp16=False)
            os.replace(part.with_suffix(".bin"), path.with_suffix(".bin"))  # noqa: PTH105  # atomic
            os.replace(part, path)  # noqa: PTH105  # atomic
            seal = Path(folder) / "seal"
            seal.write_text(hash_of(path))
            os.replace(seal, path.with_suffix(SEAL))  # noqa: PTH105  # atomic
        for old in sorted(path.parent.glob("*.xml"), key=lambda p: p.stat().st_mtime)[:-MOST_KEPT]:
            for suffix in (SEAL, ".bin", ".xml"):
                old.with_suffix(suffix).unlink(missing_ok=True)
    except OSError:
        return
