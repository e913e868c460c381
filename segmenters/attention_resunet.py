"""UNet with residual blocks and attention gates on the skip connections, for 2.5D input.

Papers: Ronneberger et al., "U-Net", MICCAI 2015; Oktay et al., "Attention U-Net", MIDL 2018; residual blocks after
He et al., CVPR 2016. Written for this package. What differs: batch norm throughout, transposed convolutions on the
way up, logits out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from segmenters.blocks import AttentionGate, Residual, descended, doubled, middle


class AttentionResUNet(nn.Module):
    """Attention-residual UNet.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level; each level down doubles them.
        levels: Resolutions, the input's included; the input's sides must be multiples of `2 ** (levels - 1)`.
    """

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 16, levels: int = 5) -> None:
        super().__init__()
        self.slices = slices
        widths = doubled(width, levels)
        self.down = nn.ModuleList(Residual(a, b) for a, b in pairwise([slices, *widths]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.gates = nn.ModuleList(AttentionGate(a) for a in widths[:-1])
        self.merge = nn.ModuleList(Residual(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`."""
        x = middle(x, self.slices)
        skips = descended(x, self.down)
        x = skips[-1]
        for level in reversed(range(len(self.up))):
            gate = self.up[level](x)
            x = self.merge[level](torch.cat([self.gates[level](skips[level], gate), gate], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


class TinyAttentionResUNet(AttentionResUNet):
    """The same at three levels: a small field of view, so it must judge by local texture and shape."""

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 16, levels: int = 3) -> None:
        super().__init__(slices, outputs, width, levels)
