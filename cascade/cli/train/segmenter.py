"""`cascade-train segmenter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from tyro.conf import arg

from cascade.cli.terminal import training_progress
from cascade.cli.train.command import LoopCommand
from cascade.cli.train.options import Name
from cascade.core.errors import UsageError
from cascade.core.registry import refuse_unknown


@dataclass(frozen=True, kw_only=True)
class Segmenter(LoopCommand):
    """Train one network of a segmentation stage: of the embolus ensemble, or of the coarse stage before it.

    For example:
        cascade simulate -n 40 -o SET --seed 100
        cascade-train segmenter --data SET --validation HELD -o RUN --net tiny_attention_resunet
        cascade-train segmenter --resume RUN
        cascade-train segmenter --stage coarse --data SET REAL --validation HELD --start MEAN.safetensors -o RUN
        cascade-train segmenter --stage coarse --data SET -o RUN --minutes 8
        cascade-train segmenter --resume RUN --data FRESH --minutes 8
        cascade-train segmenter 'loss.terms={dice: 1, focal: 20}' imbalance.replicate=0.3 --data SET --bundle weights
        cascade-train segmenter plan.little_sample=8 --steps 400 --data SET -o PROOF
        cascade-train segmenter --print-config > settings.yaml
        torchrun --nproc-per-node 4 --no-python cascade-train segmenter plan.batch=64 --data SET -o RUN

    Attributes:
        stage: Which: embolus (by default) or coarse, whose runs are taken up with --resume at any time.
        net: Name of the network: attention_resunet (by default), tiny_attention_resunet, unet, tiny_unet, r2unet,
            attention_unet, tiny_attention_unet, attention_r2unet, nested_unet, xnet, nfn_plus, u2net, u2netp,
            artery_aware_3d (with stage.slices=15), or smp with arguments.architecture and arguments.encoder; of the
            stage coarse attention_resunet_3d.
        add_member: Keep the bundle's network of the same name, and add this one to the stage.
    """

    own_setting: ClassVar[str] = "crops"

    stage: Annotated[str | None, arg(metavar="STAGE")] = None
    net: Name = None
    add_member: bool = False

    def flags(self) -> Mapping[str, Any]:
        """The options of every training, and those that choose the network."""
        return {**super().flags(), "net": self.net, "add_member": self.add_member or None}

    def stage_name(self) -> str:
        """The stage that is trained: as the flag or the run that is resumed says; else the embolus ensemble.

        Raises:
            UsageError: There is no such stage, or the run is one of the other.
        """
        from cascade.training.segmentation import TRAININGS, stage_of

        if self.stage is not None:
            refuse_unknown("stage", self.stage, TRAININGS, "E_UNKNOWN_STAGE")
        if self.resume is None:
            return self.stage or "embolus"
        began = stage_of(self.saved_arguments())
        if self.stage not in (None, began):
            raise UsageError(
                f"{self.resume} is a run of the stage {began}, not of {self.stage}; resume it without --stage, or "
                "begin a new one with -o",
                "E_RESUME",
            )
        return began

    def run(self) -> int:
        """Train the network, and write the bundle that holds it."""
        command = self.resumed()
        if not self.print_config:
            command.refuse_absent_data()
        from cascade.training.segmentation import TRAININGS, train_segmentation

        stage = command.stage_name()
        settings = command.settings(TRAININGS[stage]())
        if self.print_config:
            return self.show(settings)
        out = command.folder("segmenter" if stage == "embolus" else stage)
        with training_progress(command) as watch:
            train_segmentation(
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
