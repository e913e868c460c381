"""What a network is made from, and what every runtime makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import BundleError
from cascade.runtime.switches import offline

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Blueprint:
    """How to make a network, without making it: a compiled form may spare that, and the import of torch.

    Attributes:
        name: For messages.
        build: Makes the torch module with its weights, in evaluation mode. It can be pickled where the network is to
            be opened in other processes.
        key: Changes whenever the built network would answer otherwise; names its compiled form. Empty: no cache.
        input: Shape of one sample `[channel, y, x]` or `[channel, z, y, x]`; None where only the first batch tells.
    """

    name: str
    build: Callable[[], nn.Module]
    key: str = ""
    input: tuple[int, ...] | None = None

    def module(self) -> nn.Module:
        """The torch module, on the CPU and in evaluation mode."""
        import torch

        # Its library may be imported only now. Random weights are made and replaced: the program's seed is left alone.
        with offline(), torch.random.fork_rng(devices=[]):
            return self.build().eval()


class RuntimeNet(ABC):
    """A network that runs; a `cascade.core.stage.Net`.

    It may be called from several threads at once. Pickled, it is opened anew in the process that unpickles it.

    Args:
        blueprint: What to open.
        device: As torch names it: `cpu`, `cuda:0`, ...
    """

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """The kinds of device that it runs on: `cpu`, `cuda`."""
    full_precision: ClassVar[str | None] = None
    """The runtime to take instead, by name, for a network that must keep to float32; None where this one does."""

    def __init__(self, blueprint: Blueprint, device: str = "cpu") -> None:
        self.blueprint = blueprint
        self.device = device

    @abstractmethod
    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 logits `[n, ...]`."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `answer`, but numbers for certain: what is none would pass for "no embolism" further on.

        Raises:
            BundleError: E_NOT_FINITE.
        """
        answer = self.answer(batch)
        if not np.isfinite(answer).all():
            raise BundleError(
                f"network {self.blueprint.name!r} answered with values that are no numbers; get the bundle again, "
                "or run with another runtime",
                "E_NOT_FINITE",
            )
        return answer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.blueprint, self.device)
