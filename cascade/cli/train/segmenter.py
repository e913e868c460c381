"""`cascade-train segmenter`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cascade.cli.terminal import training_progress
from cascade.cli.train.training import Looped, listed


@dataclass(frozen=True, kw_only=True)
class Segmenter(Looped):
    """Train one network of the embolus ensemble.

    For example:
        cascade simulate -n 40 -o SET --seed 100
        cascade-train segmenter --data SET --validation HELD -o RUN --net tiny_attention_resunet
        cascade-train segmenter --resume RUN
        cascade-train segmenter 'loss.terms={dice: 1, focal: 20}' imbalance.replicate=0.3 --data SET --bundle weights
        cascade-train segmenter plan.little_sample=8 --steps 400 --data SET -o PROOF
        torchrun --nproc-per-node 4 --no-python cascade-train segmenter plan.batch=64 --data SET -o RUN

    Attributes:
        net: Name of the network: attention_resunet, tiny_attention_resunet, unet, tiny_unet, r2unet, attention_unet,
            tiny_attention_unet, attention_r2unet, nested_unet, xnet, nfn_plus, u2net, u2netp, artery_aware_3d (with
            stage.slices=15), or smp with arguments.architecture and arguments.encoder.
        add_member: Keep the bundle's network of the same name, and add this one to the ensemble.
    """

    settles: ClassVar[str] = "crops"

    net: str = "attention_resunet"
    add_member: bool = False

    def run(self) -> int:
        """Train it."""
        from segmenters import NETWORKS

        asked = self.again()
        asked.checked()
        listed("network", asked.net, NETWORKS)
        from cascade.training.augment import AugmentConfig
        from cascade.training.crops import CropConfig
        from cascade.training.imbalance import ImbalanceConfig
        from cascade.training.losses import SEGMENTATION
        from cascade.training.plan import Plan
        from cascade.training.segmenter import train_segmenter
        from segmenters.embolus import EmbolusConfig

        settings = asked.settings(
            {
                "arguments": {},
                "stage": EmbolusConfig(),
                "plan": Plan(),
                "loss": SEGMENTATION,
                "crops": CropConfig(),
                "augment": AugmentConfig(),
                "imbalance": ImbalanceConfig(),
            }
        )
        out = asked.folder("segmenter")
        with training_progress(asked) as watch:
            train_segmenter(
                asked.data,
                asked.validation,
                out,
                net=asked.net,
                add_member=asked.add_member,
                watch=watch,
                **asked.beginning(),
                **settings,
            )
        return asked.finished(out)
