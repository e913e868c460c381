"""The mean of the weights of networks that learned alike: one network, often better than any of them.

Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018; Wortsman et al.,
"Model soups", ICML 2022. It holds for networks that began with the same weights, or one with the other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import UsageError

Tensors = Mapping[str, NDArray[Any]]


def mean_weights(files: Sequence[Path]) -> bytes:
    """The file of the network whose weights are the mean of those in some files.

    Args:
        files: Weights (safetensors) of one network, of a checkpoint or a bundle; two or more.

    Returns:
        A file such as they are; in float16 only what is so in all, and with the network's name where all have it.

    Raises:
        UsageError: There are fewer than two, one is no such file, or they are of different networks.
    """
    from safetensors.numpy import save

    if len(files) < 2:
        raise UsageError("a mean is taken of two networks or more; give the files of their weights")
    (first, metadata), *others = [_read(file) for file in files]
    for (tensors, theirs), file in zip(others, files[1:], strict=True):
        _refuse_other(first, tensors, files[0], file)
        if metadata and theirs and metadata != theirs:
            text = f"{file} holds the network {_told(theirs)}, {files[0]} {_told(metadata)}"
            raise UsageError(f"{text}; give weights of one network with the same arguments", "E_START")
        metadata = metadata and theirs
    means = {name: mean([one, *(tensors[name] for tensors, _ in others)]) for name, one in first.items()}
    return bytes(save(means, dict(metadata) or None))


def mean(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The mean of arrays of one shape, of the widest of their types; of whole numbers, which count, the largest."""
    kind = np.result_type(*arrays)
    stacked = np.stack([array.astype(np.float64) for array in arrays])
    if not np.issubdtype(kind, np.floating):
        return np.asarray(stacked.max(axis=0), kind)
    # Sorted first: a sum of more than two depends on their order in its last bit.
    return np.asarray(np.sort(stacked, axis=0).sum(axis=0) / len(arrays), kind)


def _read(file: Path) -> tuple[Tensors, Mapping[str, str]]:
    """Tensors, and what the header says of them.

    Raises:
        UsageError: It is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
            return tensors, dict(opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        text = f"{file} holds no weights ({error}); give a safetensors file, such as RUN/checkpoints/best"
        raise UsageError(f"{text}/weights.safetensors", "E_START") from error


def _refuse_other(ours: Tensors, theirs: Tensors, here: Path, there: Path) -> None:
    """Refuse the weights of another network.

    Raises:
        UsageError: They are; the first tensor that differs is named.
    """
    shapes = [{name: one.shape for name, one in tensors.items()} for tensors in (ours, theirs)]
    differing = {name for name, _ in shapes[0].items() ^ shapes[1].items()}
    if differing:
        raise UsageError(
            f"{there} holds the weights of another network than {here}: {len(differing)} tensors differ, "
            f"{min(differing)!r} first; give weights of one network",
            "E_START",
        )


def _told(metadata: Mapping[str, str]) -> str:
    return f"{metadata.get('name', 'unnamed')} with arguments {metadata.get('arguments', '{}')}"
