"""The files of a bundle: a network's weights as the bytes of one safetensors file, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.config import to_json
from cascade.core.errors import BundleError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")


def pack(tensors: Mapping[str, NDArray[Any]], name: str, arguments: Mapping[str, Any]) -> bytes:
    """The file of a network: kernels (two dimensions or more) in float16, the rest as it is.

    Vectors (biases, batch-norm statistics) keep 32 bits: they weigh nothing, and a running variance may leave
    float16's range. So does a kernel that would.
    """
    from safetensors.numpy import save

    stored = {key: _stored(np.asarray(value)) for key, value in tensors.items()}
    metadata = {"name": name, "arguments": json.dumps(to_json(arguments), sort_keys=True)}
    return bytes(save(stored, metadata))


def unpack(blob: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a file; float16 comes back as float32.

    Raises:
        ValueError: The bytes are no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(blob)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {key: value.astype(np.float32) if value.dtype == np.float16 else value for key, value in tensors.items()}


def read_header(blob: bytes) -> tuple[str, Any]:
    """Name and arguments of the network that a file says it holds.

    Raises:
        ValueError: The bytes are no safetensors file, or say nothing.
    """
    size = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or size > len(blob) - 8:
        raise ValueError("it is shorter than its header says")
    try:
        metadata = json.loads(blob[8 : 8 + size])["__metadata__"]
        return str(metadata["name"]), json.loads(metadata["arguments"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("its header does not name the network") from error


def _stored(value: NDArray[Any]) -> NDArray[Any]:
    value = np.ascontiguousarray(value) if value.ndim else value
    if value.ndim < 2 or value.dtype not in (np.float32, np.float64):
        return value
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return half if np.isfinite(half).all() else value.astype(np.float32)


def read_plain(folder: Path, name: str) -> bytes:
    """The bytes of a file that lies in a bundle's folder itself.

    Raises:
        BundleError: The name is no plain one, the file is missing, or it is a link to elsewhere.
    """
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise BundleError(
            f"the manifest names the file {name!r}; only plain names inside the bundle are read", "E_MANIFEST"
        )
    path = folder / name
    if not path.is_file():
        raise BundleError(f"{path} is missing; get the bundle again, or name another with --bundle", "E_NO_BUNDLE")
    if path.is_symlink() and path.resolve().parent != folder.resolve():
        raise BundleError(f"{path} points outside the bundle; get the bundle again", "E_MANIFEST")
    return path.read_bytes()
