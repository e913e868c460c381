"""`cascade-train classifier`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tyro.conf import arg

from cascade.cli.train import Looped


@dataclass(frozen=True, kw_only=True)
class Classifier(Looped):
    """Train the network of a classifier stage: the lung filter or the Siamese classifier.

    For example:
        cascade-train classifier --data SET CHESTS --validation HELD -o RUN
        cascade-train classifier --stage siamese --data SET --bundle weights --minutes 30 arguments.width=24

    Attributes:
        stage: Which.
        net: Name of the network; the stage's usual one by default.
        imagenet: Begin the EfficientNet with ImageNet weights, yes or no.
    """

    stage: Literal["lung_filter", "siamese"] = "lung_filter"
    net: Annotated[str | None, arg(metavar="NAME")] = None
    imagenet: Literal["yes", "no"] = "yes"

    def run(self) -> int:
        """Train it."""
        asked = self.again()
        asked.checked()
        from cascade.training.classifier import PLANES, train_classifier
        from cascade.training.plan import Plan
        from classifiers import STAGES

        kind: Any = STAGES[asked.stage]
        settings = asked.settings(
            {
                "arguments": {},
                "config": kind.Config(),
                "plan": Plan(steps=2000, batch=16, learning_rate=1e-3),
                "planes": PLANES[asked.stage],
            }
        )
        out = asked.folder(asked.stage)
        train_classifier(
            asked.data,
            asked.validation,
            out,
            stage=asked.stage,
            net=asked.net,
            imagenet=asked.imagenet == "yes",
            **asked.beginning(),
            **settings,
        )
        return self.finished(out)
