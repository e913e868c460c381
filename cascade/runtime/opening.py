"""A network opened with a runtime of the list."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from cascade.core.errors import UsageError
from cascade.core.registry import nearest
from cascade.runtime.blueprint import Blueprint, RuntimeNet
from cascade.runtime.runtimes import RUNTIMES

if TYPE_CHECKING:
    from torch import nn


def runtime_class(name: str) -> type[RuntimeNet]:
    """The class that the list holds under a name; its library is imported now.

    Raises:
        UsageError: E_RUNTIME, there is none of that name.
    """
    if name not in RUNTIMES:
        raise UsageError(f"unknown runtime {name!r}; {nearest(name, RUNTIMES)}", "E_RUNTIME")
    module, attribute = RUNTIMES[name].split(":")
    found: type[RuntimeNet] = getattr(importlib.import_module(module), attribute)
    return found


def open_net(
    network: Blueprint | nn.Module, *, runtime: str = "torch", device: str = "cpu", full_precision: bool = False
) -> RuntimeNet:
    """A network that runs: float32 `[n, channel, y, x]` in, float32 logits `[n, ...]` out.

    Args:
        network: A blueprint, or a torch module in evaluation mode (never cached).
        runtime: A name in `RUNTIMES`.
        device: As torch names it; `choose` makes one from what a user says.
        full_precision: Keep to float32, whatever the runtime's own precision.

    Raises:
        UsageError: The runtime is not known.
    """
    if not isinstance(network, Blueprint):
        network = Blueprint(type(network).__name__, functools.partial(_itself, network))
    kind = runtime_class(runtime)
    if full_precision and kind.full_precision is not None:
        kind = runtime_class(kind.full_precision)
    return kind(network, device)


def _itself(module: nn.Module) -> nn.Module:
    return module
