"""Any network of segmentation-models-pytorch, by the names that library gives them.

Source: Iakubovskii, segmentation_models.pytorch (MIT). Without start weights: nothing is downloaded, ever.
"""

from __future__ import annotations

import torch
from torch import nn

from cascade.errors import UsageError


class Smp(nn.Module):
    """A network of segmentation-models-pytorch behind the interface of this package.

    Args:
        architecture: Its name there, such as "unet", "unetplusplus", "fpn", "deeplabv3plus".
        encoder: Its encoder's name there, such as "resnet18", "efficientnet-b0".
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.

    Raises:
        UsageError: The library does not know the architecture or the encoder.
    """

    def __init__(
        self, architecture: str = "unet", encoder: str = "resnet18", slices: int = 7, outputs: int = 2
    ) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        try:
            self.network = smp.create_model(
                architecture, encoder_name=encoder, encoder_weights=None, in_channels=slices, classes=outputs
            )
        except KeyError as error:
            raise UsageError(f"segmentation-models-pytorch says: {error}", "E_UNKNOWN_NETWORK") from error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`."""
        logits: torch.Tensor = self.network(x)
        return logits
