"""`cascade-train segmenter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cascade.cli.terminal import training_progress
from cascade.cli.train.command import LoopCommand
from cascade.cli.train.options import Name


@dataclass(frozen=True, kw_only=True)
class Segmenter(LoopCommand):
    """Train one network of the embolus ensemble.

    For example:
        cascade simulate -n 40 -o SET --seed 100
        cascade-train segmenter --data SET --validation HELD -o RUN --net tiny_attention_resunet
        cascade-train segmenter --resume RUN
        cascade-train segmenter 'loss.terms={dice: 1, focal: 20}' imbalance.replicate=0.3 --data SET --bundle weights
        cascade-train segmenter plan.little_sample=8 --steps 400 --data SET -o PROOF
        cascade-train segmenter --print-config > settings.yaml
        torchrun --nproc-per-node 4 --no-python cascade-train segmenter plan.batch=64 --data SET -o RUN

    Attributes:
        net: Name of the network: attention_resunet, tiny_attention_resunet, unet, tiny_unet, r2unet, attention_unet,
            tiny_attention_unet, attention_r2unet, nested_unet, xnet, nfn_plus, u2net, u2netp, artery_aware_3d (with
            stage.slices=15), or smp with arguments.architecture and arguments.encoder; attention_resunet by default.
        add_member: Keep the bundle's network of the same name, and add this one to the ensemble.
    """

    own_setting: ClassVar[str] = "crops"

    net: Name = None
    add_member: bool = False

    def flags(self) -> Mapping[str, Any]:
        """The options of every training, and those that choose the network."""
        return {**super().flags(), "net": self.net, "add_member": self.add_member or None}

    def run(self) -> int:
        """Train the network, and write the bundle that holds it."""
        command = self.resumed()
        if not self.print_config:
            command.refuse_absent_data()
        from cascade.training.segmenter import SegmenterTraining, train_segmenter

        settings = command.settings(SegmenterTraining())
        if self.print_config:
            return self.show(settings)
        out = command.folder("segmenter")
        with training_progress(command) as watch:
            train_segmenter(
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
