"""U2-Net: a UNet of six levels whose blocks are UNets themselves; and U2-Net-p, its small form.

Paper: Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition
2020. Written for this package. What differs from the paper: logits where it has sigmoids, and upsampling aligns
corners. With 3 slices 44,023,718 and 1,134,662 parameters, the paper's with one more output.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.errors import UsageError
from segmenters.blocks import ConvUnit, enlarge, middle


class NestedBlock(nn.Module):
    """A residual block whose way is a UNet: "RSU-L", and in its flat form "RSU-LF", with dilations for levels.

    Args:
        height: Units on the way down, L.
        channels_in: Channels in.
        inner: Channels inside.
        channels_out: Channels out.
        flat: Widen the view by dilated convolutions and keep the size; for maps that are too small to be halved.
    """

    def __init__(self, height: int, channels_in: int, inner: int, channels_out: int, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        dilations = [1 << level if flat else 1 for level in range(height - 1)]
        widths = [channels_out] + [inner] * (height - 1)
        self.enter = ConvUnit(channels_in, channels_out)
        self.down = nn.ModuleList(ConvUnit(a, b, d) for (a, b), d in zip(pairwise(widths), dilations, strict=True))
        self.bottom = ConvUnit(inner, inner, 1 << (height - 1) if flat else 2)
        self.up = nn.ModuleList(
            ConvUnit(2 * inner, inner if level else channels_out, dilations[level])
            for level in reversed(range(height - 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y, x]`."""
        entered: torch.Tensor = self.enter(x)
        x = entered
        skips: list[torch.Tensor] = []
        for unit in self.down:
            x = unit(halved(x) if skips and not self.flat else x)
            skips.append(x)
        x = self.bottom(x)
        for unit in self.up:
            skip = skips.pop()
            x = unit(torch.cat([enlarge(x, skip), skip], dim=1))
        return x + entered


class U2Net(nn.Module):
    """U2-Net. The tables count channels in quarters of the width.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level's features; a multiple of 4.

    Raises:
        UsageError: The width is no multiple of 4.
    """

    heights: ClassVar[tuple[int, ...]] = (7, 6, 5, 4, 4, 4)
    """Of the blocks on the way down; the last two are flat."""
    down_inner: ClassVar[tuple[int, ...]] = (2, 2, 4, 8, 16, 16)
    down_outer: ClassVar[tuple[int, ...]] = (4, 8, 16, 32, 32, 32)
    up_inner: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16)
    up_outer: ClassVar[tuple[int, ...]] = (4, 4, 8, 16, 32)

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 64) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise UsageError(f"U2-Net needs a width that is a multiple of 4, got {width}", "E_NETWORK_ARGUMENTS")
        self.slices = slices
        inner, outer, up_inner, up_outer = (
            [width // 4 * n for n in table]
            for table in (self.down_inner, self.down_outer, self.up_inner, self.up_outer)
        )
        self.down = nn.ModuleList(
            NestedBlock(self.heights[i], a, inner[i], b, flat=i > 3)
            for i, (a, b) in enumerate(pairwise([slices, *outer]))
        )
        below = [*up_outer[1:], outer[-1]]
        self.up = nn.ModuleList(
            NestedBlock(self.heights[i], below[i] + outer[i], up_inner[i], up_outer[i], flat=i > 3) for i in range(5)
        )
        self.sides = nn.ModuleList(nn.Conv2d(n, outputs, 3, padding=1) for n in (*up_outer, outer[-1]))
        self.fuse = nn.Conv2d(6 * outputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`; in training the fused ones, then those of each level."""
        x = middle(x, self.slices)
        features: list[torch.Tensor] = []
        for block in self.down:
            x = block(halved(x) if features else x)
            features.append(x)
        for level in reversed(range(len(self.up))):
            skip = features[level]
            features[level] = self.up[level](torch.cat([enlarge(features[level + 1], skip), skip], dim=1))
        sides = [enlarge(side(one), features[0]) for side, one in zip(self.sides, features, strict=True)]
        fused: torch.Tensor = self.fuse(torch.cat(sides, dim=1))
        return [fused, *sides] if self.training else fused


class U2NetP(U2Net):
    """The same with as many channels at every level."""

    down_inner: ClassVar[tuple[int, ...]] = (1,) * 6
    down_outer: ClassVar[tuple[int, ...]] = (4,) * 6
    up_inner: ClassVar[tuple[int, ...]] = (1,) * 5
    up_outer: ClassVar[tuple[int, ...]] = (4,) * 5


def halved(x: torch.Tensor) -> torch.Tensor:
    """Half the rows and columns, the last odd ones kept."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)
