"""The segmentation stages that can be trained, by name: settings, and what trains them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cascade.bundle import Bundle
from cascade.training.coarse_stage import CoarseTraining, train_coarse_stage
from cascade.training.finish import Say
from cascade.training.run import Watch
from cascade.training.segmenter import SegmenterTraining, train_segmenter

Settings = SegmenterTraining | CoarseTraining

TRAININGS: Mapping[str, Callable[[], Settings]] = {"embolus": SegmenterTraining, "coarse": CoarseTraining}
"""The usual settings by the name of the stage."""


def stage_of(arguments: Mapping[str, Any]) -> str:
    """The stage that a run with such arguments trains: only volumes are changed by `change`."""
    return "coarse" if "change" in arguments else "embolus"


def train_segmentation(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    settings: Settings,
    *,
    base: Bundle | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    say: Say = lambda _: None,
) -> Bundle:
    """Train the stage that the settings are of; as `train_segmenter` and `train_coarse_stage`."""
    if isinstance(settings, CoarseTraining):
        return train_coarse_stage(data, validation, out, settings, base=base, resume=resume, watch=watch, say=say)
    return train_segmenter(data, validation, out, settings, base=base, resume=resume, watch=watch, say=say)
