"""UNet++: a UNet whose skip connections are filled with nodes of their own, each joined with all before it.

Paper: Zhou et al., "UNet++: Redesigning Skip Connections to Exploit Multiscale Features in Image Segmentation", IEEE
TMI 2020. Written for this package. What differs from the paper: half its width, batch norm, bilinear upsampling. With
3 slices 9,163,560 parameters, as in github.com/FeijiangHan/CTISPED.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from segmenters.blocks import Double, doubled, enlarge, middle


class NestedUNet(nn.Module):
    """UNet++ with deep supervision.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level; each level down doubles them.
        levels: Resolutions, the input's included.
    """

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 32, levels: int = 5) -> None:
        super().__init__()
        self.slices = slices
        widths = doubled(width, levels)
        self.down = nn.ModuleList(Double(a, b) for a, b in pairwise([slices, *widths]))
        # nodes[level][step]: takes the `step + 1` nodes to its left at its level, and the one left below.
        self.nodes = nn.ModuleList(
            nn.ModuleList(Double(step * a + b, a) for step in range(1, levels - level))
            for level, (a, b) in enumerate(pairwise(widths))
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, outputs, 1) for _ in range(levels - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`; in training every head's, the last first."""
        x = middle(x, self.slices)
        rows: list[list[torch.Tensor]] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            rows.append([x])
        for step in range(len(self.heads)):
            for level in range(len(self.heads) - step):
                row, below = rows[level], rows[level + 1][step]
                row.append(self.nodes[level][step](torch.cat([*row, enlarge(below, row[0])], dim=1)))  # type: ignore[index]  # a list of lists
        if not self.training:
            logits: torch.Tensor = self.heads[-1](rows[0][-1])
            return logits
        answers = [head(node) for head, node in zip(self.heads, rows[0][1:], strict=True)]
        return answers[::-1]
