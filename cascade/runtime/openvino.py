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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.runtime.nets import Blueprint
from cascade.runtime.offline import cache_folder, cores, go_offline

go_offline()

import openvino as ov  # noqa: E402  # after the switches, which it reads at import

MOST_KEPT = 40
"""So many compiled forms stay in the cache, 4 to 13 MB each; the oldest go first."""

SEAL = ".sha256"


class OpenVinoNet:
    """A network compiled for this CPU, behind `cascade.core.stage.Net`.

    Every sample is inferred by itself, on one core, as many at a time as there are cores: a sample's answer cannot
    depend on its neighbours, and on two cores this is faster than one batch over both (measured: 3.35 against
    5.0 ms a slice for an EfficientNet-lite0).

    Args:
        blueprint: Built and converted only where no compiled form is found.
        precision: `f32`, or `bf16`, which becomes `f32` on a CPU without it. Always said to OpenVINO, whose own
            default differs between CPUs.
    """

    def __init__(self, blueprint: Blueprint, precision: str = "f32") -> None:
        self.blueprint = blueprint
        self.core = ov.Core()
        abilities = self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bf16" if precision == "bf16" and "BF16" in abilities else "f32"
        self.requests: dict[tuple[int, ...], list[Any]] = {}
        if blueprint.input is not None:
            self.requests[blueprint.input] = self._compile(blueprint.input)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 `[n, ...]`."""
        shape = tuple(batch.shape[1:])
        if shape not in self.requests:
            self.requests[shape] = self._compile(shape)
        requests = self.requests[shape]
        outputs: list[NDArray[np.float32]] = []
        for start in range(0, len(batch), len(requests)):
            some = batch[start : start + len(requests)]
            for request, sample in zip(requests, some, strict=False):
                request.start_async({0: np.ascontiguousarray(sample[None], dtype=np.float32)})
            for request, _ in zip(requests, some, strict=False):
                request.wait()
                outputs.append(np.array(request.get_output_tensor(0).data[0], dtype=np.float32))
        return np.stack(outputs)

    def _compile(self, shape: tuple[int, ...]) -> list[Any]:
        streams = min(cores(), 8)
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
        }
        compiled = self.core.compile_model(self._model(shape), "CPU", options)
        return [compiled.create_infer_request() for _ in range(streams)]

    def _model(self, shape: tuple[int, ...]) -> Any:
        """The graph, from the cache or converted now."""
        if not self.blueprint.key:
            return convert(self.blueprint, shape)
        path = cache_folder() / "openvino" / compiled_name(self.blueprint.key, shape)
        if is_whole(path):
            with contextlib.suppress(RuntimeError):  # an unreadable form is made anew
                return self.core.read_model(path)
        model = convert(self.blueprint, shape)
        keep(model, path)
        return model


def compiled_name(key: str, shape: tuple[int, ...]) -> str:
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


def convert(blueprint: Blueprint, shape: tuple[int, ...]) -> Any:
    """The graph of a torch module for one sample of `shape` `[channel, y, x]`."""
    import torch

    module = blueprint.build().eval().float().cpu()
    example = torch.zeros((1, *shape))
    with torch.no_grad(), warnings.catch_warnings():
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
