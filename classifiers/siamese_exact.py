"""The Siamese classifier in the exact form of the project that this one follows: 59,740,289 parameters.

Source: `siamese_network.py` of github.com/Diana1800/CT-PE-Detection (MIT, 2024), rebuilt from its layer table; no code
is copied.
Each window has a branch of its own (convolutions 7, 5, 3 at stride 2, max pool, two residual blocks, two linear
layers); the three feature vectors are joined in the order of the windows. Too large to ship (239 MB as float32);
`siamese` is the light form.
Differs from the source: normalisation is left to the windows (0..1), as everywhere here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


class Residual(nn.Module):
    """A strided residual block with dropout before the sum."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, 2, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y / 2, x / 2]`."""
        return F.relu(self.body(x) + self.shortcut(x))


class Branch(nn.Module):
    """One window `[n, 1, y, x]` to features `[n, 512]`; 19,650,944 parameters."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels_in, channels_out, kernel in ((1, 64, 7), (64, 128, 5), (128, 256, 3)):
            layers += [
                nn.Conv2d(channels_in, channels_out, kernel, 2, kernel // 2),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
        self.stem = nn.Sequential(*layers, nn.Dropout(dropout), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Residual(256, 512, dropout), Residual(512, 1024, dropout))
        self.linear = nn.Sequential(nn.Linear(1024, 512), nn.ReLU(inplace=True), nn.Linear(512, 512))

    def forward(self, x: Tensor) -> Tensor:
        """Features `[n, 512]`."""
        x = self.stem(x)  # [n, 256, y / 16, x / 16]
        x = self.blocks(x)  # [n, 1024, y / 64, x / 64]
        features: Tensor = self.linear(x.mean(dim=(2, 3)))
        return features


class SiameseExact(nn.Module):
    """One logit a slice, from three unshared branches.

    Args:
        dropout: Rate in the branches (the source's script 0.2, its notebook 0.5).
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(dropout) for _ in range(3))
        self.head = nn.Sequential(nn.Linear(3 * 512, 512), nn.ReLU(inplace=True), nn.Linear(512, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, 1]` of pictures in 0..1, `[n, 3, y, x]`."""
        features = [branch(x[:, i : i + 1]) for i, branch in enumerate(self.branches)]
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits
