"""R2U-Net: the UNet with recurrent residual blocks.

Paper: Alom et al., "Recurrent Residual Convolutional Neural Network based on U-Net (R2U-Net) for Medical Image
Segmentation", arXiv:1802.06955. Written for this package. With 3 slices 8,297,698 parameters, as in
github.com/FeijiangHan/CTISPED, whose layer table this follows.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from segmenters.blocks import RecurrentResidual
from segmenters.unet import UNet


class R2UNet(UNet):
    """Recurrent residual UNet; arguments as of `UNet`."""

    block: ClassVar[type[nn.Module]] = RecurrentResidual
