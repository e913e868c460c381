"""What each step of Ultralytics' trainer was like: loss, rate, gradients before and after clipping, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from detectors.ultralytics_door import quiet_ultralytics

Noted = Callable[[Mapping[str, float]], None]
"""Called after a step with its figures, the number of the step among them; a run that goes on counts on."""

CLIP = 10.0
"""The largest norm of gradients that Ultralytics lets pass."""


class StepWatch:
    """Watches a trainer step by step. A step is one of the optimizer: it may take several batches.

    Args:
        noted: Told of each.
    """

    def __init__(self, noted: Noted) -> None:
        self._noted = noted
        self._waited = 0.0
        self._began = self._free = time.monotonic()

    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        """By the name of the trainer's event."""
        return {
            "on_train_epoch_start": self._epoch,
            "on_train_batch_start": self._fetched,
            "on_train_batch_end": self._done,
        }

    def trainer(self) -> type[Any]:
        """Ultralytics' trainer of detectors, watched."""
        quiet_ultralytics()
        from torch.nn.utils import get_total_norm
        from ultralytics.models.yolo.detect import DetectionTrainer

        own: Any = DetectionTrainer  # it has no types

        def optimizer_step(one: Any) -> None:
            norm = float(get_total_norm([p.grad for p in one.model.parameters() if p.grad is not None]))
            rate, step = float(one.optimizer.param_groups[0]["lr"]), int(one.ema.updates)
            own.optimizer_step(one)
            self._stepped(step, float(one.loss.detach().sum()), rate, norm)

        return type("Watched", (own,), {"optimizer_step": optimizer_step})

    def _epoch(self, _: Any) -> None:
        # What was judged between two epochs is no step's time.
        self._began = self._free = time.monotonic()

    def _fetched(self, _: Any) -> None:
        self._waited += time.monotonic() - self._free

    def _done(self, _: Any) -> None:
        self._free = time.monotonic()

    def _stepped(self, step: int, loss: float, rate: float, norm: float) -> None:
        now = time.monotonic()
        figures = {"loss": loss, "learning_rate": rate, "gradient_norm": norm, "clipped_norm": min(norm, CLIP)}
        self._noted({"step": step, **figures, "data_seconds": self._waited, "seconds": now - self._began})
        self._waited, self._began = 0.0, now
