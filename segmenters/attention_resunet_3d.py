"""UNet of volumes with residual blocks and attention gates that marks arteries, and emboli with the arteries in view.

Papers: Cicek et al., "3D U-Net", MICCAI 2016; Oktay et al., "Attention U-Net", MIDL 2018; residual blocks after He et
al., CVPR 2016; group norm: Wu and He, ECCV 2018; space to depth and back: Shi et al., "Real-time single image and video
super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016; arteries first: "AANet:
Artery-Aware Network for Pulmonary Embolism Detection in CTPA Images", MICCAI 2022. Written for this package.
What differs: cells of 2 x 2 x 2 points go in as channels and come out of the heads likewise, so that nothing is ever
convolved on the full lattice; the artery map, its surroundings included, opens the embolus head but never closes it
quite, since an artery that a clot fills may look like none; the level below answers too while the network learns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.errors import UsageError

PRIOR = math.log(0.01 / 0.99)
"""Log-odds that the heads begin with: little of a chest is artery, and hardly any embolus."""

AJAR = 0.25
"""How far the embolus head stays open where there is no artery."""

CELL = 2
"""Points along each edge of a cell, which goes in as channels."""


class VolumeResidual(nn.Module):
    """Two 3x3x3 convolutions with group norm, and an identity or 1x1x1 shortcut.

    Args:
        channels_in: Channels in.
        channels_out: Channels out.
        groups: Of the norm.
    """

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, channels_out)
        self.conv2 = nn.Conv3d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels_out)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv3d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels_in, z, y, x]` to `[n, channels_out, z, y, x]`."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class VolumeGate(nn.Module):
    """Additive gate: what comes from below decides which parts of a skip connection pass.

    Source: Oktay et al., "Attention U-Net", MIDL 2018. Here skip and gate have the same resolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 8)
        self.skip = nn.Conv3d(channels, inner, 1)
        self.gate = nn.Conv3d(channels, inner, 1)
        self.weight = nn.Conv3d(inner, 1, 1)

    def forward(self, skip: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Both `[n, channels, z, y, x]`; the result is the skip, weighted."""
        return skip * torch.sigmoid(self.weight(F.relu(self.skip(skip) + self.gate(gate))))


class AttentionResUNet3D(nn.Module):
    """Embolus and artery at every point of a volume.

    Args:
        channels: Maps in: the windows of one volume.
        outputs: Two: embolus and artery.
        widths: Channels of each level, from half the lattice on; the sides of the input must be multiples of
            `2 ** len(widths)`.
        blocks: Residual blocks of each level on the way down.
        groups: Of the norms; every width must be a multiple.

    Raises:
        UsageError: There are not two outputs, fewer than two levels, or the numbers do not fit each other.
    """

    def __init__(
        self,
        channels: int = 2,
        outputs: int = 2,
        widths: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 2, 2),
        groups: int = 8,
    ) -> None:
        super().__init__()
        fits = len(widths) >= 2 and len(blocks) == len(widths) and min(*blocks, *widths, groups, channels) >= 1
        if not fits or any(width % groups for width in widths):
            raise UsageError(
                "a network of volumes needs two levels or more, a number of blocks for each, and widths that are "
                f"multiples of groups; got channels={channels}, widths={list(widths)}, blocks={list(blocks)}, "
                f"groups={groups}",
                "E_NETWORK_ARGUMENTS",
            )
        if outputs != 2:
            raise UsageError(
                f"the network of volumes answers two maps, embolus and artery, got outputs={outputs}",
                "E_NETWORK_ARGUMENTS",
            )
        self.channels = channels
        self.multiple = CELL << (len(widths) - 1)
        self.down = nn.ModuleList(
            nn.Sequential(*(VolumeResidual(a if i == 0 else b, b, groups) for i in range(count)))
            for (a, b), count in zip(pairwise([channels * CELL**3, *widths]), blocks, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.gates = nn.ModuleList(VolumeGate(a) for a in widths[:-1])
        self.merge = nn.ModuleList(VolumeResidual(2 * a, a, groups) for a in widths[:-1])
        self.artery = _head(widths[0], CELL**3)
        self.embolus = nn.Sequential(VolumeResidual(widths[0], widths[0], groups), _head(widths[0], CELL**3))
        # What the level above the lowest answers while the network learns, in cells of 4 x 4 x 4 points.
        self.deep = _head(widths[1], outputs * (2 * CELL) ** 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """`[n, channels, z, y, x]` to logits `[n, 2, z, y, x]`; in training a list of them, the main ones first."""
        x = to_cells(x)
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        coarse = x
        for level in reversed(range(len(self.up))):
            gate = self.up[level](x)
            x = self.merge[level](torch.cat([self.gates[level](skips[level], gate), gate], dim=1))
            if level == 1:
                coarse = x
        artery = self.artery(x)  # [n, 8, z / 2, y / 2, x / 2]
        # The largest of its surroundings: a clot at the wall, that the artery head takes for tissue, lies inside too.
        inside = F.max_pool3d(torch.sigmoid(artery).amax(dim=1, keepdim=True), 3, stride=1, padding=1)
        opened = x * (AJAR + (1 - AJAR) * inside)
        if not self.training:
            # The same numbers. OpenVINO's compiler dies where it may join this product and the block's sum into one.
            opened = F.avg_pool3d(opened, 1)
        embolus = self.embolus(opened)
        logits = torch.cat([to_points(embolus, CELL), to_points(artery, CELL)], dim=1)
        if not self.training:
            return logits
        return [logits, to_points(self.deep(coarse), 2 * CELL)]


def to_cells(x: torch.Tensor) -> torch.Tensor:
    """`[n, c, z, y, x]` to `[n, 8 c, z / 2, y / 2, x / 2]`: the points of each cell as channels.

    One axis after another: no runtime has to move arrays of more than six axes.
    """
    for axis in (2, 3, 4):
        x = torch.unflatten(x, axis, (x.shape[axis] // CELL, CELL)).movedim(axis + 1, 2).flatten(1, 2)
    return x


def to_points(x: torch.Tensor, edge: int) -> torch.Tensor:
    """`[n, c edge^3, z, y, x]` to `[n, c, z edge, y edge, x edge]`: channels as the points of each cell."""
    for axis in (4, 3, 2):
        x = torch.unflatten(x, 1, (x.shape[1] // edge, edge)).movedim(2, axis + 1).flatten(axis, axis + 1)
    return x


def _head(channels: int, maps: int) -> nn.Conv3d:
    """Logits, low everywhere at first."""
    last = nn.Conv3d(channels, maps, 1)
    nn.init.constant_(last.bias, PRIOR)  # type: ignore[arg-type]  # there is a bias
    return last
