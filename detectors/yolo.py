"""YOLO as a plain torch module: windows in, decoded rows out.

Source: Ultralytics YOLO (v8, 11, 12, 26 and older), https://docs.ultralytics.com/models; by default YOLO11 (no paper).
Anchor-free head with distribution focal loss after Li et al., "Generalized Focal Loss", arXiv:2006.04388.
Code: the `ultralytics` package, AGPL-3.0, which makes this package AGPL-3.0-or-later.
Differs: weights come from safetensors, never from a `.pt`; the head always answers with decoded rows, also where
the module is in training mode (Ultralytics' trainer trains its own copy, see `detectors.training`). Families that can
answer end to end (YOLO26) have two heads; the one whose rows are many is asked, as of the others, since the stage
suppresses what overlaps.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from detectors.ultralytics_door import detection_model


class Yolo(nn.Module):
    """A YOLO detector.

    Args:
        yaml: Its description, a name in `detectors.architectures.architectures()`.
        classes: Number of classes; for the lung detector right and left lung.
    """

    def __init__(self, yaml: str = "yolo11n.yaml", classes: int = 2) -> None:
        super().__init__()
        self.body = detection_model(yaml, classes)
        cast(Any, self._head).end2end = False  # every row, not a choice of the best with a class each
        vars(self._head)["export"] = True  # decoded rows alone, without the raw maps beside them
        self.train()

    @property
    def _head(self) -> nn.Module:
        return cast(nn.Sequential, self.body.model)[-1]

    def train(self, mode: bool = True) -> Yolo:
        """Switch to training or evaluation as torch does, but for the head, which goes on decoding."""
        super().train(mode)
        self._head.training = False
        return self

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Float32 `[n, 3, y, x]` in 0..1, sides divisible by 32, to rows `[n, 4 + classes, anchors]`.

        The first four are x0, y0, x1, y1 in pixels of the view, the others the classes' probabilities.
        """
        rows = self.body(views)  # x, y, width, height: [n, 4 + classes, anchors]
        centre, size = rows[:, :2], rows[:, 2:4]
        return torch.cat([centre - size / 2, centre + size / 2, rows[:, 4:]], dim=1)
