"""The UNet with attention gates on its skip connections.

Paper: Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018. Written for this package.
With 3 slices 8,202,662 parameters, as in github.com/FeijiangHan/CTISPED, whose layer table this follows; its tiny form
of 4 levels has 2,036,645.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from segmenters.blocks import GridGate
from segmenters.unet import TinyUNet, UNet


class AttentionUNet(UNet):
    """Attention UNet; arguments as of `UNet`."""

    gate: ClassVar[type[nn.Module] | None] = GridGate


class TinyAttentionUNet(TinyUNet):
    """The same at three levels, or at two to four."""

    gate: ClassVar[type[nn.Module] | None] = GridGate
