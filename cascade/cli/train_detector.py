"""`cascade-train detector`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cascade.cli.overrides import override
from cascade.cli.train import Count, Training, given, new_run


@dataclass(frozen=True, kw_only=True)
class Detector(Training):
    """Train the lung detector, on chests that the threshold finder labels.

    For example:
        cascade-train detector --data CHESTS --validation HELD -o RUN --epochs 8
        cascade-train detector --data CHESTS --validation HELD --bundle weights training.looks=4

    Attributes:
        epochs: Passes over the pictures.
    """

    epochs: Count = None

    def run(self) -> int:
        """Train it."""
        self.checked()
        from cascade.training.detector import train_lung_detector
        from detectors.lung_detector import LungDetectorConfig
        from detectors.training import DetectorTraining

        flags = given(epochs=self.epochs, batch=self.batch_size, rate=self.learning_rate, seed=self.seed)
        settings = override(
            {"config": LungDetectorConfig(), "training": replace(DetectorTraining(), **flags)}, self.overrides
        )
        out = new_run(self.out, "detector")
        train_lung_detector(self.data, self.validation, out, base=self.base(), **settings)
        return self.finished(out)
