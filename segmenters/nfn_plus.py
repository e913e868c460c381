"""NFN+: two small UNets in a row, the second seeing the features of the first at every level.

Paper: Wu et al., "NFN+: A novel network followed network for retinal vessel segmentation", Neural Networks 2020.
Written for this package, after the layer table of github.com/FeijiangHan/CTISPED. What differs from that: the outputs
are the 1x1 convolutions' own, logits; there they pass batch norm and ReLU, so that none can be negative, and no
probability below a half. So with 3 slices 1,138,404 parameters, 8 less than there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from segmenters.blocks import Double, doubled, enlarge, middle


class NFNPlus(nn.Module):
    """A network followed by a network, both supervised.

    Args:
        slices: Neighbouring slices in, as channels.
        outputs: Logit maps out.
        width: Channels of the first level; each of the two levels down doubles them.
        dropout: Rate between two convolutions.
    """

    def __init__(self, slices: int = 7, outputs: int = 2, width: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.slices = slices
        a, b, c = doubled(width, 3)
        shapes = [(slices, a), (a, b), (b, c), (c + b, b), (b + a, a)]
        self.front = nn.ModuleList(Double(i, o, dropout) for i, o in shapes)
        shapes = [(a, a), (b + a, b), (c + b, c), (c + b, b), (b + a, a)]
        self.follower = nn.ModuleList(Double(i, o, dropout) for i, o in shapes)
        self.heads = nn.ModuleList(nn.Conv2d(a, outputs, 1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """`[n, slices, y, x]` to logits `[n, outputs, y, x]`; in training the follower's, then the front's."""
        front = self._pass(self.front, middle(x, self.slices))
        follower = self._pass(self.follower, front[4], (front[3], front[2]))
        answers: list[torch.Tensor] = [self.heads[0](follower[4])]
        if not self.training:
            return answers[0]
        return [*answers, self.heads[1](front[4])]

    def _pass(
        self, blocks: nn.ModuleList, x: torch.Tensor, seen: Sequence[torch.Tensor] = ()
    ) -> tuple[torch.Tensor, ...]:
        """The features of the five blocks of a UNet, down and up; `seen` are joined to what goes down."""
        others = [[one] for one in seen] or [[], []]
        top = blocks[0](x)
        half = blocks[1](torch.cat([*others[0], F.max_pool2d(top, 2)], dim=1))
        quarter = blocks[2](torch.cat([*others[1], F.max_pool2d(half, 2)], dim=1))
        up = blocks[3](torch.cat([half, enlarge(quarter, half)], dim=1))
        return top, half, quarter, up, blocks[4](torch.cat([top, enlarge(up, top)], dim=1))
