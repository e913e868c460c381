"""A training run's folder: what was asked for, what happened, and the weights."""

from __future__ import annotations

import csv
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cascade.errors import UsageError


class Run:
    """Writes `args.yaml`, `steps.csv`, `results.csv`, `results.png` and `checkpoints/` into a folder.

    Args:
        folder: Made here.
        arguments: What the run was asked to do; dataclasses or plain values by name.

    Raises:
        UsageError: The folder exists and is not empty: nothing is ever overwritten.
    """

    def __init__(self, folder: Path, arguments: Mapping[str, Any]) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"the run folder {folder.name} is not empty; give another one with -o", "E_RUN_EXISTS")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._start = time.monotonic()
        self._pending: list[dict[str, float | torch.Tensor]] = []
        self._losses: list[float] = []
        plain = {k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in arguments.items()}
        import yaml

        (folder / "args.yaml").write_text(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None))

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
        self._losses += [row["loss"] for row in rows]
        if sys.stderr.isatty():
            recent = statistics.fmean(self._losses[-50:])
            print(f"\rstep {rows[-1]['step'] + 1}  loss {recent:.4f}  ", end="", file=sys.stderr, flush=True)
        return all(math.isfinite(value) for row in rows for value in row.values())

    def epoch(self, step: int, figures: Mapping[str, float]) -> None:
        """Note an evaluation in `results.csv` and draw `results.png` anew."""
        loss = statistics.fmean(self._losses) if self._losses else float("nan")
        self._losses = []
        _append(
            self.folder / "results.csv",
            [{"step": step, "minutes": round((time.monotonic() - self._start) / 60, 2), "train_loss": loss, **figures}],
        )
        self._plot()

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

    def _plot(self) -> None:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        with (self.folder / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        names = [n for n in rows[0] if n not in ("step", "minutes")]
        figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 2.8), squeeze=False)
        for name, axis in zip(names, axes[0], strict=True):
            axis.plot([int(r["step"]) for r in rows], [float(r[name] or "nan") for r in rows], marker=".")
            axis.set_title(name)
            axis.set_xlabel("step")
        figure.tight_layout()
        figure.savefig(self.folder / "results.png", dpi=80)
        plt.close(figure)


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
