"""`cascade-train detector`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from tyro.conf import arg

from cascade.cli.overrides import Change
from cascade.cli.train.training import Training, given, listed
from cascade.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Detector(Training):
    """Train the lung detector with Ultralytics' own trainer, on chests that the threshold finder labels.

    For example:
        cascade-train detector --data CHESTS --validation HELD -o RUN --epochs 8
        cascade-train detector --data CHESTS --validation HELD --net yolo12n --bundle weights
        cascade-train detector training.looks=4 --data CHESTS --validation HELD
        cascade-train detector --resume RUN

    Attributes:
        net: Description of the network, by the name of Ultralytics' file; yolo11n by default.
    """

    settles: ClassVar[str] = "training"

    net: Annotated[str | None, arg(metavar="NAME")] = None

    def flags(self) -> Iterable[Change]:
        """Of the trainer."""
        return given(
            {
                "training.yaml": self.net and f"{self.net.removesuffix('.yaml')}.yaml",
                "training.epochs": self.epochs,
                "training.batch": self.batch_size,
                "training.rate": self.learning_rate,
                "training.seed": self.seed,
            }
        )

    def run(self) -> int:
        """Train it."""
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError(
                "Ultralytics starts its processes itself; leave torchrun out, and name training.device=0,1"
            )
        from detectors.architectures import architectures

        asked = self.again()
        asked.checked()
        if asked.net is not None:
            listed("network", asked.net.removesuffix(".yaml"), (name.removesuffix(".yaml") for name in architectures()))
        from cascade.training.detector import train_lung_detector
        from detectors.lung_detector import LungDetectorConfig
        from detectors.training import DetectorTraining

        settings = asked.settings({"config": LungDetectorConfig(), "training": DetectorTraining()})
        out = asked.folder("detector")
        train_lung_detector(asked.data, asked.validation, out, **asked.beginning(), **settings)
        return asked.finished(out)
