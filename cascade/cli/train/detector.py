"""`cascade-train detector`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cascade.cli.train.command import TrainingCommand
from cascade.cli.train.options import Name
from cascade.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Detector(TrainingCommand):
    """Train the lung detector with Ultralytics' own trainer, on chests that the threshold finder labels.

    For example:
        cascade-train detector --data CHESTS --validation HELD -o RUN --epochs 8
        cascade-train detector --data CHESTS --validation HELD --net yolo12n --bundle weights
        cascade-train detector training.looks=4 --data CHESTS --validation HELD
        cascade-train detector --resume RUN

    Attributes:
        net: Description of the network, by the name of Ultralytics' file; yolo11n by default.
    """

    own_setting: ClassVar[str] = "training"

    net: Name = None

    def flags(self) -> Mapping[str, Any]:
        """The options of every training, and those that Ultralytics' trainer takes."""
        return {
            **super().flags(),
            "training.yaml": self.net and f"{self.net.removesuffix('.yaml')}.yaml",
            "training.epochs": self.epochs,
            "training.batch": self.batch_size,
            "training.rate": self.learning_rate,
            "training.seed": self.seed,
        }

    def run(self) -> int:
        """Train it.

        Raises:
            UsageError: Several processes were started, or a setting is wrong.
        """
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UsageError(
                "Ultralytics starts its processes itself; leave torchrun out, and name training.device=0,1"
            )
        command = self.resumed()
        if not self.print_config:
            command.refuse_absent_data()
        from cascade.training.detector import LungDetectorTraining, train_lung_detector

        settings = command.settings(LungDetectorTraining())
        if self.print_config:
            return self.show(settings)
        out = command.folder("detector")
        train_lung_detector(
            command.data,
            command.validation,
            out,
            settings,
            base=command.base(),
            resume=command.resume is not None,
            say=command.remark,
        )
        return command.finished(out)
