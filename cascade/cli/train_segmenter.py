"""`cascade-train segmenter`."""

from __future__ import annotations

from dataclasses import dataclass

from cascade.cli.train import Looped


@dataclass(frozen=True, kw_only=True)
class Segmenter(Looped):
    """Train one network of the embolus ensemble.

    For example:
        cascade simulate -n 40 -o SET --seed 100
        cascade-train segmenter --data SET --validation HELD -o RUN --net tiny_attention_resunet
        cascade-train segmenter --resume RUN
        cascade-train segmenter --data SET --bundle weights --minutes 30 arguments.width=16 crops.size=[128,128]

    Attributes:
        net: Name of the network: attention_resunet, tiny_attention_resunet, smp.
    """

    net: str = "attention_resunet"

    def run(self) -> int:
        """Train it."""
        asked = self.again()
        asked.checked()
        from cascade.training.augment import AugmentConfig
        from cascade.training.crops import CropConfig
        from cascade.training.plan import Plan
        from cascade.training.segmenter import train_segmenter
        from segmenters.embolus import EmbolusConfig

        settings = asked.settings(
            {
                "arguments": {},
                "stage": EmbolusConfig(),
                "plan": Plan(),
                "crops": CropConfig(),
                "augment": AugmentConfig(),
            }
        )
        out = asked.folder("segmenter")
        train_segmenter(
            asked.data,
            asked.validation,
            out,
            net=asked.net,
            **asked.beginning(),
            **settings,
        )
        return self.finished(out)
