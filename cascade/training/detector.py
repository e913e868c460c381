"""Training the lung detector, and putting it into a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cascade.bundle import Bundle, Network, StageEntry, save
from cascade.training.datasets import open_cases
from cascade.training.datasets.lung_boxes import sides
from cascade.weights_file import pack
from detectors.lung_detector import LungDetectorConfig
from detectors.training import DetectorTraining, Labelled, train_detector


def train_lung_detector(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    *,
    base: Bundle | None = None,
    config: LungDetectorConfig = LungDetectorConfig(),  # noqa: B008  # frozen
    training: DetectorTraining = DetectorTraining(),  # noqa: B008  # frozen
) -> Bundle:
    """Train the detector on whole chests, which the threshold finder labels, and on single slices with drawn boxes.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads; whole slices, not crops.
        validation: Folders of cases of other patients.
        out: The run folder; must be new.
        base: The bundle that supplies the other stages.
        config: What the stage sees.
        training: How to train.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A set gives no pictures, or the run folder is not new.
    """
    trained = train_detector(_studies(data), _studies(validation), out, config, training)
    blob = pack(trained.state, "yolo", trained.arguments)
    network = Network("yolo", trained.arguments, blob, (3, config.size, config.size), trained.figures)
    entry = StageEntry("lung_detector", config, (network,))
    return save((base or Bundle(name=out.name)).with_stage(entry), out / "bundle")


def _studies(folders: Sequence[Path]) -> Iterator[Labelled]:
    for folder in folders:
        for case in open_cases(folder):
            study, lungs = case.study, case.truth.lungs
            # A single slice carries boxes that somebody drew; the finder's outlines of a whole chest turn with it.
            drawn = lungs is not None and study.grid.shape[0] == 1
            yield study, sides(lungs, study.grid) if lungs is not None and drawn else None
