"""XNet: two encoder-decoder passes in a row, joined by skip connections, for small data sets.

Paper: Bullock et al., "XNet: A convolutional neural network (CNN) implementation for medical X-Ray image segmentation
suitable for small datasets", SPIE Medical Imaging 2019, arXiv:1812.00548. Written for this package. What differs from
the paper: half its width, and what comes from below is joined with its skip connection before a convolution, not
after. With 3 slices 3,112,290 parameters, as in github.com/FeijiangHan/CTISPED, whose layer table this follows.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from segmenters.blocks import ConvUnit, Double, doubled, enlarge, middle


class XNet(nn.Module):
    """XNet: down three times, up twice, down twice, up three times.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level; each of the three levels down doubles them.
    """

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 32) -> None:
        super().__init__()
        self.slices = slices
        a, b, c, d = doubled(width, 4)
        self.enter = ConvUnit(slices, a)
        self.first_down = nn.ModuleList([ConvUnit(a, b), ConvUnit(b, c), Double(c, d)])
        self.first_up = nn.ModuleList([ConvUnit(d + c, c), ConvUnit(c + b, b)])
        self.between = ConvUnit(b, b)
        self.second_down = nn.ModuleList([ConvUnit(b, c), Double(c, d)])
        self.second_up = nn.ModuleList([ConvUnit(d + c, c), ConvUnit(c + b, b), ConvUnit(b + a, a)])
        self.head = nn.Conv2d(a, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`."""
        top: torch.Tensor = self.enter(middle(x, self.slices))
        half = self._pass(top, self.first_down, self.first_up)
        logits: torch.Tensor = self.head(self._pass(self.between(half), self.second_down, self.second_up, top))
        return logits

    def _pass(
        self, x: torch.Tensor, down: nn.ModuleList, up: nn.ModuleList, above: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Once down and up again, as far as there are units; `above` is the skip connection of a level above `x`."""
        skips = [] if above is None else [above]
        for unit in down:
            skips.append(x)
            x = unit(F.max_pool2d(x, 2))
        for unit in up:
            skip = skips.pop()
            x = unit(torch.cat([skip, enlarge(x, skip)], dim=1))
        return x
