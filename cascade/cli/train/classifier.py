"""`cascade-train classifier`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from tyro.conf import arg

from cascade.cli.terminal import training_progress
from cascade.cli.train.command import LoopCommand
from cascade.cli.train.options import Name, YesNo, is_yes
from cascade.core.registry import refuse_unknown


@dataclass(frozen=True, kw_only=True)
class Classifier(LoopCommand):
    """Train the network of a classifier stage: the lung filter or the Siamese classifier.

    For example:
        cascade-train classifier --data SET CHESTS --validation HELD -o RUN
        cascade-train classifier arguments.model=resnet18 --net timm --data SET --validation HELD
        cascade-train classifier --resume RUN
        cascade-train classifier --stage siamese --print-config
        cascade-train classifier arguments.width=24 --stage siamese --data SET --bundle weights --minutes 30

    Attributes:
        stage: Which: lung-filter (by default) or siamese.
        net: Name of the network: efficientnet, siamese, siamese_exact, or timm with arguments.model (for the stage
            siamese with arguments.outputs=1, too); the stage's usual one by default.
        imagenet: Begin the EfficientNet with ImageNet weights; yes by default.
    """

    own_setting: ClassVar[str] = "slices"

    stage: Annotated[str | None, arg(metavar="STAGE")] = None
    net: Name = None
    imagenet: YesNo = None

    def flags(self) -> Mapping[str, Any]:
        """The options of every training, and those that choose the stage and its network."""
        stage = self.stage and plain(self.stage)
        return {**super().flags(), "stage": stage, "net": self.net, "imagenet": is_yes(self.imagenet)}

    def stage_name(self) -> str:
        """The stage that is trained: as the flag, a setting or the run that is resumed says; else the lung filter.

        Raises:
            UsageError: There is no such stage.
        """
        from classifiers import STAGES

        given = [str(change.value) for change in self.changes() if change.key == "stage"]
        if not given and self.resume is not None:
            given = [str(self.saved_arguments().get("stage"))]
        name = plain(given[-1]) if given else "lung_filter"
        refuse_unknown("stage", name, STAGES, "E_UNKNOWN_STAGE")
        return name

    def run(self) -> int:
        """Train the stage's network, and write the bundle that holds it."""
        command = self.resumed()
        stage = command.stage_name()
        if not self.print_config:
            command.refuse_absent_data()
        from cascade.training.classifier import TRAININGS, train_classifier

        settings = command.settings(TRAININGS[stage]())
        if self.print_config:
            return self.show(settings)
        out = command.folder(stage)
        with training_progress(command) as watch:
            train_classifier(
                command.data,
                command.validation,
                out,
                settings,
                base=command.base(),
                resume=command.resume is not None,
                watch=watch,
                say=command.remark,
            )
        return command.finished(out)


def plain(stage: str) -> str:
    """A stage's name, which may be written with a hyphen."""
    return stage.replace("-", "_")
