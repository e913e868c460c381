"""Building blocks of the UNets in this package."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm, and an identity or 1x1 shortcut.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y, x]`."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class AttentionGate(nn.Module):
    """Additive gate: what comes from below decides which parts of a skip connection pass.

    Source: Oktay et al., "Attention U-Net", MIDL 2018. Here skip and gate have the same resolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 8)
        self.skip = nn.Conv2d(channels, inner, 1)
        self.gate = nn.Conv2d(channels, inner, 1)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Both `[n, channels, y, x]`; the result is the skip, weighted."""
        return skip * torch.sigmoid(self.weight(F.relu(self.skip(skip) + self.gate(gate))))
