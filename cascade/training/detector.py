"""Training the lung detector, and putting it into a bundle."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cascade.anatomy.lungs import find_lungs
from cascade.bundle import Bundle, Network, StageEntry
from cascade.bundle.weights import pack
from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.datasets import open_cases, refuse_unknown_layout
from cascade.datasets.lung_boxes import sides
from cascade.training.arguments import run_arguments, save_arguments
from cascade.training.examples import Example, draw_examples
from cascade.training.finish import Say, finish
from cascade.training.memory import memory_mb
from cascade.training.monitors import draw_results, events, write_events
from cascade.training.run import append_rows, cut_table, refuse_used, write_table
from detectors.lung_detector import LungDetectorConfig, from_rows
from detectors.training import DetectorTraining, Labelled, train_detector

_WHOLE = 10
"""Slices from which on a study is a chest, in which lungs can be found by threshold."""
_FLUSHED = 20
"""Steps that are written to their table at once."""


@dataclass(frozen=True, kw_only=True)
class LungDetectorTraining:
    """How the lung detector is trained, and what its stage sees.

    Attributes:
        config: How studies are cut for the network.
        training: The network, and how Ultralytics' trainer trains it.
        dataset: Layout of the data sets; found by looking by default.
        fusion: Whether to fit the fusion at the end, where there are validation data and the bundle is whole.
    """

    config: LungDetectorConfig = field(default_factory=LungDetectorConfig)
    training: DetectorTraining = field(default_factory=DetectorTraining)
    dataset: str | None = None
    fusion: bool = True

    def __post_init__(self) -> None:
        """Refuse a layout that there is not."""
        refuse_unknown_layout(self.dataset)


def train_lung_detector(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    settings: LungDetectorTraining | None = None,
    *,
    base: Bundle | None = None,
    resume: bool = False,
    say: Say = lambda _: None,
) -> Bundle:
    """Train the detector on whole chests, which the threshold finder labels, and on single slices with drawn boxes.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads; whole slices, not crops.
        validation: Folders of cases of other patients.
        out: The run folder; must be new.
        settings: How to train; the defaults of `LungDetectorTraining` where they are not given.
        base: The bundle that supplies the other stages.
        resume: Go on with the run in `out`, which was stopped.
        say: Called with what a person should know, and the figures of every epoch.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A set gives no pictures, or the run folder is not new, or the device is not there.
    """
    settings = settings or LungDetectorTraining()
    config, training = settings.config, replace(settings.training, device=settings.training.torch_device)
    if not resume:
        refuse_used(out)
        if not validation:
            raise UsageError("the detector's trainer judges every epoch; give --validation FOLDER, of other patients")
        save_arguments(out, run_arguments(replace(settings, training=training), data, validation, base))

    def on_epoch(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        say(f"epoch {epoch} of {epochs}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    steps = _Steps(out / "steps.csv", training.device)
    learn, held = (_studies(folders, settings.dataset) for folders in (data, validation))
    try:
        trained = train_detector(
            learn, held, out, config, training, resume=resume, on_epoch=on_epoch, on_step=steps.note
        )
        steps.flush()
    except BaseException:
        # Without its pictures nothing was begun, and nothing is left.
        if not resume and not (out / "pictures").exists():
            shutil.rmtree(out)
        raise
    _show(out)
    blob = pack(trained.state, "yolo", trained.arguments)
    network = Network("yolo", trained.arguments, blob, (3, config.size, config.size), trained.figures)
    bundle = (base or Bundle(name=out.name)).with_stage(StageEntry("lung_detector", config, (network,)))
    inside, examples = containment(bundle, _studies(validation, settings.dataset))
    draw_examples(out / "predictions", examples)
    say(f"{100 * inside:.1f} % of the lungs lie in the boxes found")
    network = replace(network, figures={**trained.figures, "lung_containment": round(inside, 4)})
    bundle = bundle.with_stage(StageEntry("lung_detector", config, (network,)))
    return finish(bundle, out, validation, settings.dataset, settings.fusion, say)


def containment(bundle: Bundle, studies: Iterable[Labelled], most: int = 4) -> tuple[float, list[Example]]:
    """How far the network's boxes hold the lungs, as the threshold finder sees them, of the slices that are looked at.

    Single slices are left out. The stage's own region would say nothing: it holds the finder's lungs by its making.

    Args:
        bundle: With the detector.
        studies: Whole chests.
        most: Pictures of so many studies.

    Returns:
        The mean over the studies of the share of the lungs that lies in boxes, and the middle slices of some.
    """
    (stage,) = bundle.open("torch", "cpu", only=["lung_detector"])
    shares: list[float] = []
    examples: list[Example] = []
    for study, _ in studies:
        lungs = find_lungs(study).mask
        patches = stage.patches(study, Findings(study.grid)) if len(lungs) >= _WHOLE else []
        inside, found = 0, 0
        for i, patch in enumerate(patches):
            view, within = stage.view(study, patch), np.zeros(lungs.shape[1:], np.uint8)
            rows = stage.predict(view[None])[0]
            for x0, y0, x1, y1 in from_rows(rows, patch, study.grid.shape, stage.config):
                if np.isfinite(x0):
                    within[round(y0) : round(y1), round(x0) : round(x1)] = 1
            inside += int((lungs[patch.z] & (within > 0)).sum())
            found += int(lungs[patch.z].sum())
            if i == len(patches) // 2 and len(examples) < most:
                maps = (patch.crop(one.astype(np.uint8), fill=0) for one in (lungs[patch.z], within))
                examples.append(Example(f"slice {patch.z}", view[0], *maps))
        if found:
            shares.append(inside / found)
    return (float(np.mean(shares)) if shares else 0.0), examples


class _Steps:
    """Writes the trainer's steps to a table, some at a time. Steps that are done again, after a stop, count once."""

    def __init__(self, path: Path, device: str) -> None:
        import torch

        on_gpu = device != "cpu" and torch.cuda.is_available()
        self._path, self._device = path, torch.device("cuda" if on_gpu else "cpu")
        self._rows: list[Mapping[str, float]] = []
        self._begun = False

    def note(self, figures: Mapping[str, float]) -> None:
        self._rows.append({**figures, **memory_mb(self._device)})
        if len(self._rows) >= _FLUSHED:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        if not self._begun:
            cut_table(self._path, int(self._rows[0]["step"]) - 1)
            self._begun = True
        append_rows(self._path, self._rows)
        self._rows = []


def _show(out: Path) -> None:
    """The trainer's table and its curves, where every run has them; an epoch that was begun again counts once."""
    with (out / "ultralytics" / "results.csv").open(newline="") as file:
        rows = [{name.strip().split("/", 1)[-1]: value for name, value in row.items()} for row in csv.DictReader(file)]
    epochs = {int(row["epoch"]): {name: float(value) for name, value in row.items()} for row in rows}
    table = [{**row, "step": number} for number, row in sorted(epochs.items())]
    write_table(out / "results.csv", table)
    draw_results(out / "results.png", table)
    writer = events(out, 0)
    for row in table if writer is not None else ():
        write_events(writer, row)


def _studies(folders: Sequence[Path], dataset: str | None) -> Iterator[Labelled]:
    for folder in folders:
        for case in open_cases(folder, dataset):
            study, lungs = case.study, case.truth.lungs
            # A single slice carries boxes that somebody drew; the finder's outlines of a whole chest turn with it.
            drawn = lungs is not None and study.grid.shape[0] == 1
            yield study, sides(lungs, study.grid) if lungs is not None and drawn else None
