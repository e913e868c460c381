"""Any network of segmentation-models-pytorch, by the names that library gives them.

Source: Iakubovskii, segmentation_models.pytorch (MIT). Without start weights: nothing is downloaded, ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cascade.core.errors import UsageError
from cascade.core.registry import nearest
from segmenters.blocks import middle


class Smp(nn.Module):
    """A network of segmentation-models-pytorch behind the interface of this package.

    Args:
        architecture: Its name there, such as "unet", "unetplusplus", "fpn", "deeplabv3plus".
        encoder: Its encoder's name there, such as "resnet18", "efficientnet-b0"; "tu-" and a name in timm for others.
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        options: Further arguments of the architecture, by the names that they have there.

    Raises:
        UsageError: The library does not know the architecture or the encoder, or does not join them.
    """

    def __init__(
        self,
        architecture: str = "unet",
        encoder: str = "resnet18",
        slices: int = 7,
        outputs: int = 2,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp
        import timm

        encoders = smp.encoders.get_encoder_names()
        architectures = smp.MODEL_ARCHITECTURES_MAPPING
        if architecture.lower() not in architectures:
            raise UsageError(
                f"segmentation-models-pytorch has no architecture {architecture!r}; "
                f"{nearest(architecture, architectures)}",
                "E_UNKNOWN_NETWORK",
            )
        if encoder not in encoders and not (encoder.startswith("tu-") and timm.is_model(encoder[3:])):
            known = [f"tu-{name}" for name in timm.list_models()] if encoder.startswith("tu-") else encoders
            raise UsageError(
                f"segmentation-models-pytorch has no encoder {encoder!r}; {nearest(encoder, known)}",
                "E_UNKNOWN_NETWORK",
            )
        self.slices = slices
        named = {"encoder_name": encoder, "encoder_weights": None, "in_channels": slices, "classes": outputs}
        try:
            self.network = smp.create_model(architecture, **{**(options or {}), **named})
        except (ValueError, RuntimeError) as error:
            raise UsageError(
                f"segmentation-models-pytorch cannot make {architecture!r} with encoder {encoder!r}: {error}; "
                "choose another encoder",
                "E_NETWORK_ARGUMENTS",
            ) from error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`."""
        logits: torch.Tensor = self.network(middle(x, self.slices))
        return logits
