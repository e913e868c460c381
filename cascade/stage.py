"""The two protocols that every stage keeps: `Stage`, and `Learned` for one with networks.

A learned stage looks at a study through frames. `frames` says where to look, `view` what a network sees there
(`cut` takes the HU, `dress` windows them), `target` what a perfect network would answer, `record` what an answer
means. Running goes frames, view, predict, record; training goes frames, view, target: the same code, so both see
the same pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cascade.findings import Findings
from cascade.geometry import Frame
from cascade.study import Study

Watch = Callable[[int, int], None]
"""Called with the number of samples done and their total."""


class Net(Protocol):
    """A network behind a runtime: a batch in, raw outputs (logits) out."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 `[n, ...]`."""
        ...


class Stage(Protocol):
    """Reads a study and the findings so far, returns findings that say more."""

    name: str

    def __call__(self, study: Study, findings: Findings, watch: Watch | None = None) -> Findings:
        """Add to the findings; neither argument is changed."""
        ...


class Sample(NamedTuple):
    """What a network sees, and where it lies."""

    view: NDArray[np.float32]
    frame: Frame


class Learned(ABC):
    """A stage with networks.

    Args:
        nets: The stage's networks by name, in evaluation mode, behind a runtime. Empty for a stage that only
            prepares samples, as in training.
        config: How it cuts studies; an instance of the stage's own `Config`, whose defaults are taken without one.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    config: Any
    batch_size: ClassVar[int] = 4
    networks: ClassVar[Mapping[str, str]] = {}
    """Networks that this stage alone may have, as `module:class` by name; empty for those of its package."""
    full_precision: ClassVar[bool] = False
    """Keep to float32 in a runtime of lower precision: for single numbers that rounding moves too far."""

    def __init__(self, nets: Mapping[str, Net] | None = None, config: Any = None) -> None:
        self.nets: dict[str, Net] = dict(nets or {})
        self.config = self.Config() if config is None else config

    @abstractmethod
    def frames(self, study: Study, findings: Findings) -> Sequence[Frame]:
        """Where to look, in the order of slices."""

    @abstractmethod
    def cut(self, study: Study, frame: Frame) -> NDArray[np.float32]:
        """The study's HU at a frame: float32 `[slice, y, x]`, one slice or neighbours, feet to head."""

    @abstractmethod
    def dress(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """HU as `cut` gives them, `[slice, y, x]`, to what a network sees: windows, `[channel, y, x]`."""

    def view(self, study: Study, frame: Frame) -> NDArray[np.float32]:
        """What a network sees at a frame: float32 `[channel, y, x]`. Training changes HU between the two halves."""
        return self.dress(self.cut(study, frame))

    @abstractmethod
    def target(self, study: Study, truth: Findings, frame: Frame) -> NDArray[np.float32]:
        """What a perfect `predict` would answer at a frame."""

    @abstractmethod
    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers (probabilities, not logits) for a batch `[n, channel, y, x]`, one a sample."""

    @abstractmethod
    def record(self, study: Study, findings: Findings, outputs: Iterable[tuple[Frame, NDArray[Any]]]) -> Findings:
        """The findings with what the answers mean."""

    def prepare(self, study: Study, findings: Findings) -> Iterator[Sample]:
        """The samples of a study, one at a time."""
        for frame in self.frames(study, findings):
            yield Sample(self.view(study, frame), frame)

    def __call__(self, study: Study, findings: Findings, watch: Watch | None = None) -> Findings:
        """Prepare, predict, record."""
        return self.record(study, findings, self._answers(study, findings, watch))

    def _answers(self, study: Study, findings: Findings, watch: Watch | None) -> Iterator[tuple[Frame, NDArray[Any]]]:
        frames = self.frames(study, findings)
        for start in range(0, len(frames), self.batch_size):
            some = frames[start : start + self.batch_size]
            views = np.stack([self.view(study, frame) for frame in some])
            # Batches are padded to one size: kernels may differ between sizes, and with them the last bits.
            missing = self.batch_size - len(some)
            if missing:
                views = np.concatenate([views, np.repeat(views[-1:], missing, axis=0)])
            yield from zip(some, self.predict(views)[: len(some)], strict=True)
            if watch is not None:
                watch(start + len(some), len(frames))
