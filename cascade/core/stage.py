"""The two protocols that every stage keeps: `Stage`, and `Learned` for one with networks.

A learned stage looks at a study through patches. `patches` says where to look, `view` what a network sees there
(`crop` takes the HU, `preprocess` windows them), `target` what a perfect network would answer, `postprocess` what an
answer means. Running goes patches, view, predict, postprocess; training goes patches, view, target: the same code, so
both see the same pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.core.patch import Patch
from cascade.core.progress import Progress
from cascade.core.study import Study

Scores = Literal["nothing", "slices", "voxels"]


class Net(Protocol):
    """A network behind a runtime: a batch in, raw outputs (logits) out."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 `[n, channel, y, x]` to float32 `[n, ...]`."""
        ...


class Stage(Protocol):
    """Reads a study and the findings so far, returns findings that say more."""

    @property
    def name(self) -> str:
        """What the stage is called in timings, columns and the fusion's inputs."""
        ...

    def __call__(self, study: Study, findings: Findings, progress: Progress | None = None) -> Findings:
        """Add to the findings; neither argument is changed, and neither is the stage: threads may share it.

        Args:
            study: What was read.
            findings: What the stages before found.
            progress: Called with the stage's name; the last call comes when everything is done.
        """
        ...


class Sample(NamedTuple):
    """What a network sees, and where it lies."""

    view: NDArray[np.float32]
    patch: Patch


class Learned(ABC):
    """A stage with networks.

    Args:
        nets: The stage's networks by name, in evaluation mode, behind a runtime. Empty for a stage that only
            prepares samples, as in training.
        config: How it cuts studies; an instance of the stage's own `Config`, whose defaults are taken without one.
    """

    name: ClassVar[str]
    network: ClassVar[str]
    """Its usual network: a name of its package's `NETWORKS`."""
    Config: ClassVar[type[Any]]
    config: Any
    scores: ClassVar[Scores] = "nothing"
    """What it scores for embolism: slices (`Slices.pe`, by its name) or voxels (`Findings.embolus`)."""
    batch_size: ClassVar[int] = 4
    networks: ClassVar[Mapping[str, str]] = {}
    """Networks that this stage alone may have, as `module:class` by name; empty for those of its package."""
    optional: ClassVar[bool] = False
    """Whether a cascade is whole without it."""
    full_precision: ClassVar[bool] = False
    """Keep to float32 in a runtime of lower precision: for single numbers that rounding moves too far."""

    def __init__(self, nets: Mapping[str, Net] | None = None, config: Any = None) -> None:
        self.nets: dict[str, Net] = dict(nets or {})
        self.config = self.Config() if config is None else config

    @abstractmethod
    def patches(self, study: Study, findings: Findings) -> Sequence[Patch]:
        """Where to look, in the order of slices."""

    @abstractmethod
    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """The study's HU at a patch: float32 `[slice, y, x]`, one slice or neighbours, feet to head."""

    @abstractmethod
    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """HU as `crop` gives them, `[slice, y, x]`, to what a network sees: windows, `[channel, y, x]`."""

    def view(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """What a network sees at a patch: float32 `[channel, y, x]`. Training changes HU between the two halves."""
        return self.preprocess(self.crop(study, patch))

    @abstractmethod
    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """What a perfect `predict` would answer at a patch."""

    @abstractmethod
    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers (probabilities, not logits) for a batch `[n, channel, y, x]`, one a sample."""

    @abstractmethod
    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """The findings with what the answers mean."""

    def prepare(self, study: Study, findings: Findings) -> Iterator[Sample]:
        """The samples of a study, one at a time."""
        for patch in self.patches(study, findings):
            yield Sample(self.view(study, patch), patch)

    def __call__(self, study: Study, findings: Findings, progress: Progress | None = None) -> Findings:
        """Prepare, predict, postprocess."""
        patches = self.patches(study, findings)
        findings = self.postprocess(study, findings, self._answers(study, patches, progress))
        if progress is not None:
            progress(self.name, len(patches), len(patches))
        return findings

    def _answers(
        self, study: Study, patches: Sequence[Patch], progress: Progress | None
    ) -> Iterator[tuple[Patch, NDArray[Any]]]:
        for start in range(0, len(patches), self.batch_size):
            some = patches[start : start + self.batch_size]
            views = np.stack([self.view(study, patch) for patch in some])
            # Batches are padded to one size: kernels may differ between sizes, and with them the last bits.
            missing = self.batch_size - len(some)
            if missing:
                views = np.concatenate([views, np.repeat(views[-1:], missing, axis=0)])
            yield from zip(some, self.predict(views)[: len(some)], strict=True)
            if progress is not None:
                progress(self.name, start + len(some), len(patches))
