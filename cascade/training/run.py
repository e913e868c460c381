"""A training run's folder: what was asked for, what happened, and the weights."""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cascade.errors import UsageError
from cascade.training.monitors import Verdict, draw_epoch, draw_results, write_events
from cascade.training.state import Progress

if TYPE_CHECKING:
    from cascade.bundle import Bundle


class Run:
    """Writes `args.yaml`, `steps.csv`, `results.csv`, pictures, events and `checkpoints/` into a folder.

    An epoch is what lies between two evaluations.

    Args:
        folder: Made here, unless a run is resumed.
        arguments: What the run was asked to do; dataclasses or plain values by name.
        resume: Go on with the run that stands in the folder.

    Raises:
        UsageError: The folder exists and is not empty: nothing is ever overwritten. Or there is nothing to resume.
    """

    def __init__(self, folder: Path, arguments: Mapping[str, Any], resume: bool = False) -> None:
        self.resumed = resume
        self.folder = folder
        self.state = folder / "checkpoints" / "state.safetensors"
        self._start = time.monotonic()
        self._pending: list[dict[str, float | torch.Tensor]] = []
        self._steps: list[dict[str, float]] = []
        self._epochs: list[dict[str, float]] = []
        self._events: Any = None
        if resume:
            refuse_unless_stopped(folder)
            return
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"the run folder {folder.name} is not empty; give another one with -o", "E_RUN_EXISTS")
        folder.mkdir(parents=True, exist_ok=True)
        plain = {k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in arguments.items()}
        import yaml

        (folder / "args.yaml").write_text(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None))

    @property
    def seconds(self) -> float:
        """Time spent, that before a stop included."""
        return time.monotonic() - self._start

    def go_back(self, progress: Progress) -> None:
        """Forget what happened after a stored state: it will happen again."""
        self._start = time.monotonic() - progress.seconds
        self._epochs = _cut(self.folder / "results.csv", progress.step)
        steps = _cut(self.folder / "steps.csv", progress.step - 1)
        since = self._epochs[-1]["step"] if self._epochs else 0
        self._steps = [row for row in steps if row["step"] >= since]

    def step(self, step: int, **figures: float | torch.Tensor) -> None:
        """Note one step's figures. Scalars on a device may be given as they are: nothing waits for them here."""
        self._pending.append({"step": step, **figures})

    def flush(self) -> bool:
        """Write the steps noted since the last time to `steps.csv`. Returns whether all their figures are finite."""
        if not self._pending:
            return True
        names = list(self._pending[0])
        columns = [_numbers([row[name] for row in self._pending]) for name in names]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        _append(self.folder / "steps.csv", rows)
        self._pending = []
        self._steps += rows
        if sys.stderr.isatty():
            recent = _mean([row["loss"] for row in self._steps[-50:]])
            print(f"\rstep {rows[-1]['step'] + 1}  loss {recent:.4f}  ", end="", file=sys.stderr, flush=True)
        return all(math.isfinite(value) for row in rows for value in row.values())

    def epoch(self, step: int, verdict: Verdict) -> None:
        """Note an evaluation in `results.csv`, and draw `results.png` and the epoch's `plots/`."""
        steps = self._steps
        row: dict[str, float] = {
            "epoch": len(self._epochs) + 1,
            "step": step,
            "minutes": round(self.seconds / 60, 2),
            "train_loss": _mean([one["loss"] for one in steps]),
            "gradient_norm": _mean([one["gradient_norm"] for one in steps]),
            "not_finite": sum(not math.isfinite(one["loss"] + one["gradient_norm"]) for one in steps),
            "data_share": sum(one["data_seconds"] for one in steps) / sum(one["seconds"] for one in steps),
            **verdict.figures,
        }
        self._epochs.append(row)
        _append(self.folder / "results.csv", [row])
        draw_results(self.folder / "results.png", self._epochs)
        draw_epoch(self.folder / "plots", steps, self._epochs, verdict)
        self._steps = []
        self._tell(row)

    def keep(self, network: nn.Module, name: str, state: Mapping[str, Any]) -> None:
        """Store weights as `checkpoints/NAME/weights.safetensors` with `state.json`, each whole or not at all."""
        from safetensors.torch import save_file

        folder = self.folder / "checkpoints" / name
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        save_file(tensors, folder / "weights.tmp")
        (folder / "weights.tmp").replace(folder / "weights.safetensors")
        (folder / "state.tmp").write_text(json.dumps(dict(state), indent=2))
        (folder / "state.tmp").replace(folder / "state.json")

    def restore(self, network: nn.Module, name: str) -> None:
        """Load weights that `keep` stored into a network."""
        from safetensors.torch import load_file

        network.load_state_dict(load_file(self.folder / "checkpoints" / name / "weights.safetensors"))

    def figures(self, name: str) -> dict[str, float]:
        """The figures of the weights that `keep` stored, without their step."""
        state = json.loads((self.folder / "checkpoints" / name / "state.json").read_text())
        return {k: v for k, v in state.items() if k != "step"}

    def _tell(self, row: Mapping[str, float]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # the package's extra "train" brings it
            return
        if self._events is None:
            self._events = SummaryWriter(str(self.folder), purge_step=int(row["step"]))
        write_events(self._events, row)


def sources(
    data: Iterable[Path], validation: Iterable[Path], start: Path | None, base: Bundle | None
) -> dict[str, Any]:
    """Where a run's cases and first weights come from, for `args.yaml`: enough to resume it from another folder."""
    return {
        "data": [str(folder.resolve()) for folder in data],
        "validation": [str(folder.resolve()) for folder in validation],
        "start": str(start.resolve()) if start else None,
        "bundle": str(base.folder.resolve()) if base and base.folder else None,
    }


def asked(folder: Path) -> dict[str, Any]:
    """What a run was asked to do, from its `args.yaml`.

    Raises:
        UsageError: The folder is no run, or one that cannot be resumed.
    """
    import yaml

    refuse_unless_stopped(folder)
    return dict(yaml.safe_load((folder / "args.yaml").read_text()))


def refuse_unless_stopped(folder: Path) -> None:
    """Resume only what was begun and has not ended.

    Raises:
        UsageError: The folder is no run, has no state yet, or holds a finished run.
    """
    if not (folder / "args.yaml").is_file():
        raise UsageError(f"{folder} is no training run; there is nothing to resume", "E_RESUME")
    if (folder / "bundle" / "manifest.json").is_file():
        raise UsageError(f"the run {folder} has ended; its bundle is {folder / 'bundle'}", "E_RESUME")
    if not (folder / "checkpoints" / "state.safetensors").is_file():
        raise UsageError(f"the run {folder} was stopped before its first step; start a new one", "E_RESUME")


def _cut(path: Path, last: int) -> list[dict[str, float]]:
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
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    _append(temporary, rows)
    temporary.replace(path)
    return [{name: float(value) for name, value in row.items()} for row in rows]


def _mean(values: Iterable[float]) -> float:
    """Of those that are finite."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.nan


def _numbers(values: list[float | torch.Tensor]) -> list[Any]:
    """Plain numbers, fetched from the device at once."""
    if isinstance(values[0], torch.Tensor):
        return torch.stack([torch.as_tensor(value) for value in values]).tolist()
    return values


def _append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)
