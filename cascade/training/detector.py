"""Training the lung detector, and putting it into a bundle."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cascade.anatomy.lungs import find_lungs
from cascade.bundle import Bundle, Network, StageEntry
from cascade.bundle.weights import pack
from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.datasets import open_cases
from cascade.datasets.lung_boxes import sides
from cascade.training.examples import Example, draw_examples
from cascade.training.finish import Say, finish
from cascade.training.memory import memory_mb
from cascade.training.monitors import draw_results, events, write_events
from cascade.training.run import append_rows, cut_table, refuse_used, sources, write_args, write_table
from detectors.lung_detector import LungDetectorConfig, from_rows
from detectors.training import DetectorTraining, Labelled, train_detector

_WHOLE = 10
"""Slices from which on a study is a chest, in which lungs can be found by threshold."""
_FLUSHED = 20
"""Steps that are written to their table at once."""


def train_lung_detector(
    data: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    *,
    base: Bundle | None = None,
    config: LungDetectorConfig = LungDetectorConfig(),  # noqa: B008  # frozen
    training: DetectorTraining = DetectorTraining(),  # noqa: B008  # frozen
    dataset: str | None = None,
    fusion: bool = True,
    resume: bool = False,
    say: Say = lambda _: None,
) -> Bundle:
    """Train the detector on whole chests, which the threshold finder labels, and on single slices with drawn boxes.

    Args:
        data: Folders of cases to learn from, in any layout that `open_cases` reads; whole slices, not crops.
        validation: Folders of cases of other patients.
        out: The run folder; must be new.
        base: The bundle that supplies the other stages.
        config: What the stage sees.
        training: How to train.
        dataset: Layout of the folders, a name of `LAYOUTS`; found by looking by default.
        fusion: Whether to fit the fusion afterwards.
        resume: Go on with the run in `out`, which was stopped.
        say: Told what a person should know, and the figures of every epoch.

    Returns:
        The bundle as saved in `out/bundle`.

    Raises:
        UsageError: A set gives no pictures, or the run folder is not new.
    """
    if not resume:
        refuse_used(out)
        if not validation:
            raise UsageError("the detector's trainer judges every epoch; give --validation FOLDER, of other patients")
        write_args(out, {**sources(data, validation, dataset, None, base), "config": config, "training": training})

    def told(epoch: int, epochs: int, figures: Mapping[str, float]) -> None:
        say(f"epoch {epoch} of {epochs}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    steps = _Steps(out / "steps.csv", training.device)
    try:
        trained = train_detector(
            _studies(data, dataset),
            _studies(validation, dataset),
            out,
            config,
            training,
            resume=resume,
            told=told,
            noted=steps.note,
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
    inside, examples = containment(bundle, _studies(validation, dataset))
    draw_examples(out / "predictions", examples)
    say(f"{100 * inside:.1f} % of the lungs lie in the boxes found")
    network = replace(network, figures={**trained.figures, "lung_containment": round(inside, 4)})
    bundle = bundle.with_stage(StageEntry("lung_detector", config, (network,)))
    return finish(bundle, out, validation, dataset, fusion, say)


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
