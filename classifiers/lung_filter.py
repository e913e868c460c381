"""The lung filter: which slices show lung, and a first score for embolism on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import body_centre
from cascade.core.findings import Findings, Slices
from cascade.core.patch import Patch
from cascade.core.stage import Learned, Scores
from cascade.core.study import Study
from cascade.core.truth import embolus_on
from classifiers.scores import between, picture, probabilities, refuse_unusable


@dataclass(frozen=True)
class LungFilterConfig:
    """Where the lung filter looks.

    Attributes:
        stride_mm: At most one slice in so many mm is looked at, the others are filled in between; 0 for all.
        pixel_mm: Distance of the picture's points. The lungs of an adult span at most 350 of its 384 mm.
        size: Points along y and x.
    """

    stride_mm: float = 0.0
    pixel_mm: float = 2.0
    size: int = 192

    def __post_init__(self) -> None:
        refuse_unusable(self.pixel_mm, self.size, self.stride_mm)


class LungFilter(Learned):
    """Probability that a slice shows lung (at least 5 cm2 of it), and a score for embolism on the slice.

    Reads     study.hu int16 `[z, y, x]`, HU
    Returns   findings.slices: lung, and a PE score by the stage's name, 0..1, feet to head
    Sample    float32 `[3, y, x]` in 0..1: one slice around the body's centre in the windows lung, pe, mediastinal

    The head called `pe` answers for embolism and the head called `lung` for lung: nothing else enters either.
    """

    name: ClassVar[str] = "lung_filter"
    network: ClassVar[str] = "efficientnet"
    scores: ClassVar[Scores] = "slices"
    # bfloat16 moved a slice of the trained lung filter by 0.14, of the Siamese network by 0.012.
    full_precision: ClassVar[bool] = True
    batch_size: ClassVar[int] = 8
    Config: ClassVar[type[LungFilterConfig]] = LungFilterConfig
    config: LungFilterConfig

    def patches(self, study: Study, findings: Findings) -> list[Patch]:
        """One patch a slice, all around the body's centre, so that the picture doesn't jump along the patient."""
        config, grid = self.config, study.grid
        centre = body_centre(study)
        chosen: Sequence[int] = range(grid.shape[0])
        if config.stride_mm > 0:
            chosen = grid.every(config.stride_mm)
        return [grid.patch(z, centre, config.pixel_mm, (config.size, config.size)) for z in chosen]

    def crop(self, study: Study, patch: Patch) -> NDArray[np.float32]:
        """The slice's HU, `[1, y, x]`."""
        return patch.crop(study.hu[patch.z])[None]

    def preprocess(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """Three windows of the slice, `[3, y, x]`."""
        return picture(hu[0])

    def target(self, study: Study, truth: Findings, patch: Patch) -> NDArray[np.float32]:
        """`[2]`: shows lung, shows embolus; NaN where the truth does not say."""
        lung = np.nan if truth.slices is None else truth.slices.lung[patch.z]
        return np.array([lung, embolus_on(truth, patch.z)], dtype=np.float32)

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities `[n, 2]`: lung, pe."""
        return probabilities(self.name, self.nets, batch)

    def postprocess(self, study: Study, findings: Findings, outputs: Iterable[tuple[Patch, NDArray[Any]]]) -> Findings:
        """The slices' lung probability and PE score; slices between two that were looked at are filled linearly."""
        pairs = list(outputs)
        seen = [patch.z for patch, _ in pairs]
        values = np.array([answer for _, answer in pairs], dtype=np.float32).reshape(-1, 2)
        before = findings.slices or Slices.unknown(study.grid.shape[0])
        lung, pe = (between(study.grid.z_mm, seen, values[:, i], self.config.stride_mm) for i in range(2))
        return replace(findings, slices=replace(before, lung=lung).with_pe(self.name, pe))
