"""The Siamese classifier at a light size: one residual branch a window, features joined.

Paper: the residual block is He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; three branches, one
a window, after github.com/Diana1800/CT-PE-Detection (MIT). Differs from it (`siamese_exact`): strided blocks at width
16..128 instead of 64..1024, batch norm without dropout, so that a slice costs 0.33 GMAC at 224 instead of 4.
"Siamese" is the field's word and fits only with `shared=True`: by default each window has weights of its own, since
lung texture and clot in contrast have little in common.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm, and a 1x1 shortcut where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y / stride, x / stride]`."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class Branch(nn.Module):
    """One window `[n, 1, y, x]` to features `[n, 2 * 8 * width]`: their mean and their maximum over the slice.

    An embolus covers a few of some thousand places; a mean alone dilutes it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width << i for i in range(4)]
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        for before, after in zip([width, *widths], widths, strict=False):
            blocks += [Residual(before, after, stride=2), Residual(after, after)]
        self.blocks = nn.Sequential(*blocks)
        self.features = 2 * widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Features `[n, features]`."""
        x = self.blocks(self.stem(x))  # [n, 8 * width, y / 32, x / 32]
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


class SiameseNet(nn.Module):
    """One logit a slice, from one branch a window.

    Args:
        windows: Channels of the picture, one a window.
        width: Channels of the first layer; doubled three times.
        hidden: Units between the joined features and the logit.
        dropout: Rate on the joined features.
        shared: One branch for all windows.
    """

    def __init__(
        self, windows: int = 3, width: int = 16, hidden: int = 128, dropout: float = 0.2, shared: bool = False
    ) -> None:
        super().__init__()
        self.windows = windows
        self.branches = nn.ModuleList(Branch(width) for _ in range(1 if shared else windows))
        features = windows * 16 * width
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, 1]` of pictures in 0..1, `[n, windows, y, x]`."""
        shared = len(self.branches) == 1
        features = [self.branches[0 if shared else i](x[:, i : i + 1]) for i in range(self.windows)]
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits
