"""`cascade-train classifier`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from tyro.conf import arg

from cascade.cli.terminal import training_progress
from cascade.cli.train.training import Looped, listed


@dataclass(frozen=True, kw_only=True)
class Classifier(Looped):
    """Train the network of a classifier stage: the lung filter or the Siamese classifier.

    For example:
        cascade-train classifier --data SET CHESTS --validation HELD -o RUN
        cascade-train classifier arguments.model=resnet18 --net timm --data SET --validation HELD
        cascade-train classifier --resume RUN
        cascade-train classifier arguments.width=24 --stage siamese --data SET --bundle weights --minutes 30

    Attributes:
        stage: Which: lung-filter or siamese.
        net: Name of the network: efficientnet, siamese, siamese_exact, or timm with arguments.model (for the stage
            siamese with arguments.outputs=1, too); the stage's usual one by default.
        imagenet: Begin the EfficientNet with ImageNet weights, yes or no.
    """

    settles: ClassVar[str] = "slices"

    stage: Annotated[str, arg(metavar="STAGE")] = "lung-filter"
    net: Annotated[str | None, arg(metavar="NAME")] = None
    imagenet: Literal["yes", "no"] = "yes"

    def run(self) -> int:
        """Train it."""
        from classifiers import NETWORKS, STAGES

        asked = self.again()
        asked.checked()
        stage = listed("stage", asked.stage.replace("-", "_"), STAGES)
        if asked.net is not None:
            listed("network", asked.net, NETWORKS)
        from cascade.training.classifier import SLICES, train_classifier
        from cascade.training.losses import LossConfig
        from cascade.training.plan import Plan

        kind: Any = STAGES[stage]
        settings = asked.settings(
            {
                "arguments": {},
                "config": kind.Config(),
                "plan": Plan(steps=2000, batch=16, learning_rate=1e-3),
                "loss": LossConfig(),
                "slices": SLICES[stage],
            }
        )
        out = asked.folder(stage)
        with training_progress(asked) as watch:
            train_classifier(
                asked.data,
                asked.validation,
                out,
                stage=stage,
                net=asked.net,
                imagenet=asked.imagenet == "yes",
                watch=watch,
                **asked.beginning(),
                **settings,
            )
        return asked.finished(out)
