"""Building blocks of the networks in this package, and what all of them ask of their arguments and their input."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.errors import UsageError


def doubled(width: int, levels: int) -> list[int]:
    """Channels of each level of a UNet: `width` at the top, twice as many at each level down.

    Raises:
        UsageError: There is no channel, or no level below the first.
    """
    if width < 1 or levels < 2:
        raise UsageError(
            f"a UNet needs a width of 1 or more and 2 levels or more, got width={width} and levels={levels}",
            "E_NETWORK_ARGUMENTS",
        )
    return [width << level for level in range(levels)]


def middle(x: torch.Tensor, slices: int) -> torch.Tensor:
    """The middle slices of `[n, slice, y, x]`, for a network that looks at so many.

    An ensemble's members see the same sample, and need not all look equally far along the patient.

    Raises:
        UsageError: The sample has fewer slices, or no middle of that size.
    """
    spare = x.shape[1] - slices
    if spare < 0 or spare % 2:
        raise UsageError(
            f"the network looks at {slices} slices, the sample has {x.shape[1]}; "
            f"set stage.slices={slices} (or more, by an even number), or the network's slices={x.shape[1]}",
            "E_SLICES",
        )
    return x[:, spare // 2 : spare // 2 + slices] if spare else x


def enlarge(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`x` `[n, c, y, x]` at the rows and columns of `like`, bilinear with the corners aligned."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


class ConvUnit(nn.Sequential):
    """A 3x3 convolution with batch norm and ReLU that keeps the size."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Double(nn.Sequential):
    """Two `ConvUnit`s, with dropout between them where asked.

    Source: Ronneberger et al., "U-Net", MICCAI 2015; batch norm is later custom.
    """

    def __init__(self, channels_in: int, channels_out: int, dropout: float = 0.0) -> None:
        super().__init__(ConvUnit(channels_in, channels_out), nn.Dropout(dropout), ConvUnit(channels_out, channels_out))


class Recurrent(nn.Module):
    """A convolution, batch norm and ReLU, `times + 1` times with the same weights, the input added before each repeat.

    Every time has batch statistics of its own. One set for all fits none of them, and the network answers otherwise in
    evaluation than it learned to.

    Sources: Liang and Hu, "Recurrent Convolutional Neural Network for Object Recognition", CVPR 2015; Cooijmans et al.,
    "Recurrent Batch Normalization", ICLR 2017.
    """

    def __init__(self, channels: int, times: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, affine=False) for _ in range(times + 1))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels, y, x]` to the same shape."""
        weight, bias = self.weight[:, None, None], self.bias[:, None, None]
        y = torch.zeros_like(x)
        for norm in self.norms:
            y = F.relu(norm(self.conv(x + y)) * weight + bias)
        return y


class RecurrentResidual(nn.Module):
    """A 1x1 convolution, and two `Recurrent` units beside the way past them.

    Source: Alom et al., "Recurrent Residual Convolutional Neural Network based on U-Net (R2U-Net)", arXiv:1802.06955.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels_in, channels_out, 1)
        self.body = nn.Sequential(Recurrent(channels_out), Recurrent(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y, x]`."""
        x = self.enter(x)
        y: torch.Tensor = x + self.body(x)
        return y


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


class GridGate(nn.Module):
    """Additive gate in its authors' form: it weighs a skip connection on the grid of the level below.

    Source: Oktay et al., "Attention U-Net", MIDL 2018.
    """

    def __init__(self, channels: int, below: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.skip = nn.Conv2d(channels, inner, 2, stride=2, bias=False)
        self.gate = nn.Conv2d(below, inner, 1)
        self.weight = nn.Conv2d(inner, 1, 1)
        self.leave = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, skip: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
        """`skip` `[n, channels, y, x]` and `deep` `[n, below, y / 2, x / 2]`; the result has the skip's shape."""
        coarse = self.skip(skip)
        weight = torch.sigmoid(self.weight(F.relu(coarse + enlarge(self.gate(deep), coarse))))
        gated: torch.Tensor = self.leave(skip * enlarge(weight, skip))
        return gated


def descended(x: torch.Tensor, down: Iterable[nn.Module]) -> list[torch.Tensor]:
    """The answers of blocks, each at half the resolution of the one before: `[n, channel, y >> level, x >> level]`."""
    levels: list[torch.Tensor] = []
    for block in down:
        x = block(F.max_pool2d(x, 2) if levels else x)
        levels.append(x)
    return levels
