"""The UNet with both: recurrent residual blocks, and attention gates on its skip connections.

Papers: Alom et al., arXiv:1802.06955, and Oktay et al., "Attention U-Net", MIDL 2018. Written for this package.
With 3 slices 8,647,782 parameters, as in github.com/FeijiangHan/CTISPED, whose layer table this follows; at 4 levels
2,153,317, which is that project's Tiny-Attention-Residual-UNet.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from segmenters.blocks import GridGate, RecurrentResidual
from segmenters.unet import UNet


class AttentionR2UNet(UNet):
    """Attention recurrent residual UNet; arguments as of `UNet`."""

    block: ClassVar[type[nn.Module]] = RecurrentResidual
    gate: ClassVar[type[nn.Module] | None] = GridGate
