"""Opening a network: from a blueprint, by the name of a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import BundleError, UsageError
from cascade.core.registry import nearest
from cascade.core.stage import Net
from cascade.runtime.device import RUNTIMES

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Blueprint:
    """How to make a network, without making it: a compiled form may spare that, and the import of torch.

    Attributes:
        name: For messages.
        build: Makes the torch module with its weights, in evaluation mode.
        key: Changes whenever the built network would answer otherwise; names its compiled form. Empty: no cache.
        input: Shape of one sample `[channel, y, x]`; None where only the first batch tells.
    """

    name: str
    build: Callable[[], nn.Module]
    key: str = ""
    input: tuple[int, int, int] | None = None


def open_net(network: Blueprint | nn.Module, *, runtime: str = "torch", device: str = "cpu") -> Net:
    """A network that runs: float32 `[n, channel, y, x]` in, float32 logits `[n, ...]` out.

    Args:
        network: A blueprint, or a torch module in evaluation mode (never cached).
        runtime: One of `cascade.runtime.RUNTIMES`.
        device: As torch names it; `choose` makes one from what a user says.

    Raises:
        UsageError: The runtime is not known.
    """
    blueprint = network if isinstance(network, Blueprint) else Blueprint(type(network).__name__, lambda: network)
    if runtime == "torch":
        from cascade.runtime.torch_eager import TorchNet

        return _Finite(TorchNet(blueprint.build(), device), blueprint.name)
    if runtime in ("openvino", "openvino-bf16"):
        from cascade.runtime.openvino import OpenVinoNet

        return _Finite(OpenVinoNet(blueprint, "bf16" if runtime.endswith("bf16") else "f32"), blueprint.name)
    raise UsageError(f"unknown runtime {runtime!r}; {nearest(runtime, RUNTIMES)}", "E_RUNTIME")


class _Finite:
    """A network whose answers are numbers: what is none would pass for "no embolism" further on."""

    def __init__(self, net: Net, name: str) -> None:
        self.net, self.name = net, name

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = self.net(batch)
        if not np.isfinite(answer).all():
            raise BundleError(
                f"network {self.name!r} answered with values that are no numbers; get the bundle again, "
                "or run with another runtime",
                "E_NOT_FINITE",
            )
        return answer
