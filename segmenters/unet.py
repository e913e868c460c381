"""The UNet, and the frame of those that differ from it in their blocks or their skip connections.

Paper: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
Written for this package. What differs from the paper: half its width, batch norm, padded convolutions, bilinear
upsampling. With 3 slices 7,852,578 parameters, as in github.com/FeijiangHan/CTISPED, whose layer table this follows;
its tiny forms have 103,074, 472,866 and 1,949,730 (2, 3 and 4 levels).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from segmenters.blocks import Double, descended, doubled, enlarge, middle


class UNet(nn.Module):
    """UNet. Its kin say what they are by `block` and `gate`.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level; each level down doubles them.
        levels: Resolutions, the input's included.
    """

    block: ClassVar[type[nn.Module]] = Double
    """Made with channels in and out; keeps the size."""

    gate: ClassVar[type[nn.Module] | None] = None
    """Made with the channels of a skip connection and of the level below; weighs the first by the second."""

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 32, levels: int = 5) -> None:
        super().__init__()
        self.slices = slices
        widths = doubled(width, levels)
        self.down = nn.ModuleList(self.block(a, b) for a, b in pairwise([slices, *widths]))
        self.up = nn.ModuleList(self.block(a + b, a) for a, b in pairwise(widths))
        self.gates = nn.ModuleList(self.gate(a, b) for a, b in pairwise(widths)) if self.gate else None
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`."""
        x = middle(x, self.slices)
        skips = descended(x, self.down)
        x = skips[-1]
        for level in reversed(range(len(self.up))):
            skip = self.gates[level](skips[level], x) if self.gates is not None else skips[level]
            x = self.up[level](torch.cat([skip, enlarge(x, skip)], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


class TinyUNet(UNet):
    """The same at three levels, or at two to four: fewer weights than clots have voxels."""

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 32, levels: int = 3) -> None:
        super().__init__(slices, outputs, width, levels)
