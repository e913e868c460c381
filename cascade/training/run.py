"""A training run's folder: what was asked for, what happened, and the weights."""

from __future__ import annotations

import csv
import json
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

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
        self._since: list[dict[str, float]] = []
        plain = {k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in arguments.items()}
        import yaml

        (folder / "args.yaml").write_text(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None))

    def step(self, step: int, **figures: float) -> None:
        """Note one step's figures in `steps.csv`."""
        self._since.append(figures)
        _append(self.folder / "steps.csv", {"step": step, **figures})
        if (step + 1) % 50 == 0 and sys.stderr.isatty():
            recent = statistics.fmean(f["loss"] for f in self._since[-50:])
            print(f"\rstep {step + 1}  loss {recent:.4f}  ", end="", file=sys.stderr, flush=True)

    def epoch(self, step: int, figures: Mapping[str, float]) -> None:
        """Note an evaluation in `results.csv` and draw `results.png` anew."""
        loss = statistics.fmean(f["loss"] for f in self._since) if self._since else float("nan")
        self._since = []
        _append(
            self.folder / "results.csv",
            {"step": step, "minutes": round((time.monotonic() - self._start) / 60, 2), "train_loss": loss, **figures},
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


def _append(path: Path, row: Mapping[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
