"""A training run's folder: what happened, and the weights."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import torch
from torch import nn

from cascade.core.errors import UsageError
from cascade.core.files import OutputError, write_bytes
from cascade.training.arguments import refuse_unless_begun, save_arguments
from cascade.training.checkpoint import TrainingState
from cascade.training.curves import draw_curves
from cascade.training.distributed import world
from cascade.training.examples import Example, draw_examples
from cascade.training.monitors import Evaluation, draw_epoch, draw_results, events, write_events

CASES = "cases"
"""The folder of a run for what its cases were packed into; a start that finds nothing else takes it up."""
_TABLES = 50_000_000
"""Room for tables and pictures, in bytes."""


class Watch(Protocol):
    """Called while a training goes on."""

    def __call__(self, step: int, steps: int, figures: Mapping[str, float], evaluated: bool) -> None:
        """Steps done, steps planned, the latest figures, and whether they are of an evaluation."""
        ...


class Run:
    """Writes `args.yaml`, `steps.csv`, `results.csv`, pictures, events and `checkpoints/` into a folder.

    An epoch is what lies between two evaluations. Where several processes train together, the leader writes; the others
    keep the same figures in mind.

    Args:
        folder: Made here, unless a run is resumed.
        arguments: For `args.yaml`: settings and sources by name.
        resume: Go on with the run that stands in the folder.
        watch: Called with what is noted.

    Raises:
        UsageError: The folder exists and is not empty: nothing is ever overwritten. Or there is nothing to resume.
    """

    def __init__(
        self, folder: Path, arguments: Mapping[str, Any], resume: bool = False, watch: Watch | None = None
    ) -> None:
        self.resumed = resume
        self.folder = folder
        self.state = folder / "checkpoints" / "state.safetensors"
        self._watch = watch
        self._is_main = world().is_main
        self._start = self._begun = time.monotonic()
        self._pending: list[dict[str, float | torch.Tensor]] = []
        self._steps: list[dict[str, float]] = []
        self._epochs: list[dict[str, float]] = []
        self._planned = 0
        self._events: Any = None
        if not self._is_main:
            return
        if resume:
            refuse_unless_begun(folder)
            if not self.state.is_file():
                raise UsageError(f"the run {folder} was stopped before its first step; start a new one", "E_RESUME")
            return
        refuse_used(folder)
        save_arguments(folder, arguments)

    @property
    def seconds(self) -> float:
        """Time spent, that before a stop included."""
        return time.monotonic() - self._start

    @property
    def seconds_since_start(self) -> float:
        """Time spent since this start."""
        return time.monotonic() - self._begun

    def refuse_ended(self, done: int, planned: int) -> None:
        """Refuse to go on where no step is left, and no weights were kept yet or all is written.

        Raises:
            UsageError: More steps were done than are planned now.
        """
        ended = (self.folder / "bundle" / "manifest.json").is_file()
        if done >= planned and (ended or not (self.folder / "checkpoints" / "best").is_dir()):
            raise UsageError(f"the run has done {done} steps already, plan.steps is {planned}; give more", "E_RESUME")

    def go_back(self, progress: TrainingState) -> None:
        """Forget what happened after a stored state: it will happen again."""
        self._start = time.monotonic() - progress.seconds
        if not self._is_main:
            return
        self._epochs = cut_table(self.folder / "results.csv", progress.step)
        steps = cut_table(self.folder / "steps.csv", progress.step - 1)
        since = self._epochs[-1]["step"] if self._epochs else 0
        self._steps = [row for row in steps if row["step"] >= since]

    def step(self, step: int, **figures: float | torch.Tensor) -> None:
        """Note one step's figures. Scalars on a device may be given as they are: nothing waits for them here."""
        self._pending.append({"step": step, **figures})

    def flush(self, planned: int) -> bool:
        """Write the steps noted since the last time to `steps.csv`. Returns whether all their figures are finite.

        Args:
            planned: Steps of the whole training, for whoever watches it.
        """
        self._planned = planned
        if not self._pending:
            return True
        names = list(self._pending[0])
        columns = [_numbers([row[name] for row in self._pending]) for name in names]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        self._pending = []
        self._steps += rows
        if self._is_main:
            append_rows(self.folder / "steps.csv", rows)
            if self._watch is not None:
                recent = {"loss": _mean([row["loss"] for row in rows]), "rate": rows[-1]["learning_rate"]}
                self._watch(int(rows[-1]["step"]) + 1, planned, recent, False)
        return all(math.isfinite(row["loss"] + row["gradient_norm"]) for row in rows)

    def epoch(self, step: int, evaluation: Evaluation) -> None:
        """Note an evaluation in `results.csv`, and draw `results.png` and the epoch's `plots/`."""
        steps, self._steps = self._steps, []
        if not self._is_main:
            return
        row: dict[str, float] = {
            "epoch": len(self._epochs) + 1,
            "step": step,
            "minutes": round(self.seconds / 60, 2),
            "train_loss": _mean([one["loss"] for one in steps]),
            "gradient_norm": _mean([one["gradient_norm"] for one in steps]),
            "not_finite": sum(not math.isfinite(one["loss"] + one["gradient_norm"]) for one in steps),
            "data_share": sum(one["data_seconds"] for one in steps) / sum(one["seconds"] for one in steps),
            **evaluation.figures,
        }
        self._epochs.append(row)
        append_rows(self.folder / "results.csv", [row])
        draw_results(self.folder / "results.png", self._epochs)
        draw_epoch(self.folder / "plots", steps, self._epochs, evaluation)
        self._tell(row)
        if self._watch is not None:
            self._watch(step, self._planned, row, True)

    def keep(self, network: nn.Module, name: str, step: int, evaluation: Evaluation) -> None:
        """Store weights as `checkpoints/NAME/weights.safetensors` with `state.json`, each whole or not at all.

        Raises:
            OutputError: The disk is full, or the folder gone.
        """
        from safetensors.torch import save

        if not self._is_main:
            return
        folder = self.folder / "checkpoints" / name
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        write_bytes(folder / "weights.safetensors", save(tensors))
        answers = {question: counts.tolist() for question, counts in evaluation.answers.items()}
        state = {"step": step, "figures": dict(evaluation.figures), "answers": answers}
        write_bytes(folder / "state.json", json.dumps(state).encode())

    def restore(self, network: nn.Module, name: str) -> None:
        """Load weights that `keep` stored into a network."""
        from safetensors.torch import load_file

        network.load_state_dict(load_file(self.folder / "checkpoints" / name / "weights.safetensors"))

    def figures(self, name: str) -> dict[str, float]:
        """The figures of the weights that `keep` stored."""
        return dict(self._kept(name)["figures"])

    def conclude(self) -> None:
        """Draw the curves of the best weights: ROC, precision and recall, reliability."""
        answers = {k: np.array(v, dtype=np.int64) for k, v in self._kept("best")["answers"].items()}
        if self._is_main and answers:
            draw_curves(self.folder / "plots", answers)

    def show(self, examples: Iterable[Example]) -> None:
        """Draw what the best weights say of samples, as `predictions/NUMBER.png`."""
        if self._is_main:
            draw_examples(self.folder / "predictions", examples)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table, whole or not at all."""
        if self._is_main and rows:
            write_table(self.folder / name, rows)

    def _kept(self, name: str) -> Any:
        return json.loads((self.folder / "checkpoints" / name / "state.json").read_text())

    def _tell(self, row: Mapping[str, float]) -> None:
        if self._events is None:
            self._events = events(self.folder, int(row["step"]))
        if self._events is not None:
            write_events(self._events, row)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, whole or not at all."""
    text = io.StringIO()
    _write(text, rows, head=True)
    write_bytes(path, text.getvalue().encode())


def refuse_used(folder: Path) -> None:
    """Refuse a folder for a new run that holds something, but for cases that a start packed which was stopped.

    Raises:
        UsageError: It does: nothing is ever overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(one.name != CASES for one in folder.iterdir())):
        raise UsageError(f"the run folder {folder.name} is not empty; give another one with -o", "E_RUN_EXISTS")


def refuse_no_room(folder: Path, network: nn.Module) -> None:
    """Refuse a disk on which a run would end half-written: a state and four sets of weights, and one being written.

    Raises:
        OutputError: There is not enough room.
    """
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    weights = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    wanted, free = 12 * weights + _TABLES, shutil.disk_usage(place).free
    if free < wanted:
        text = f"the run needs {wanted / 1e6:.0f} MB, but {free / 1e6:.0f} MB are free; free space or give another -o"
        raise OutputError("E_NO_ROOM", text)


def cut_table(path: Path, last: int) -> list[dict[str, float]]:
    """Take the rows after a step from a table; returns those that stay."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        # A line without an end was being written when the run was stopped.
        lines = [line for line in file if line.endswith("\n")]
    rows = [row for row in csv.DictReader(lines) if int(row["step"]) <= last]
    if not rows:
        path.unlink()
        return []
    write_table(path, rows)
    return [{name: float(value) for name, value in row.items()} for row in rows]


def _mean(values: Iterable[float]) -> float:
    """The mean of the values that are finite; NaN where none is."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.nan


def _numbers(values: list[float | torch.Tensor]) -> list[Any]:
    """Plain numbers, fetched from the device at once."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack([torch.as_tensor(value) for value in values]).tolist()
    return values


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows at the end of a table, which begins with their names."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        _write(file, rows, new)


def _write(file: TextIO, rows: Sequence[Mapping[str, Any]], head: bool) -> None:
    writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
