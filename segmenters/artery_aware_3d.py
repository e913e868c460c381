"""A network of volumes that marks arteries first and looks for emboli inside them.

Papers: the idea is that of "AANet: Artery-Aware Network for Pulmonary Embolism Detection in CTPA Images", MICCAI 2022,
doi 10.1007/978-3-031-16431-6_45; dilated context after Chen et al., "Rethinking Atrous Convolution for Semantic Image
Segmentation", arXiv:1706.05587. Written for this package; no layer is copied.
Kept: residual encoder in 3D from a strided stem, features of all scales joined, dilated context, an artery head
whose map, pooled, multiplies the features of the embolus head; both heads begin at a prior of 0.01.
What differs: slices are 2 mm apart and points 1.25 mm, so nothing is pooled along the patient; only the middle slice is
answered, so no slice is computed that it cannot see (below); batch norm instead of standardised kernels; the
decoder works on the middle slice; 1,622,882 parameters instead of 14,906,098.

Along the patient no convolution is padded: each takes a slice off both ends, until the middle one is left that has seen
all. From then on, and in the decoder, convolutions are of the slice alone.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.errors import UsageError
from segmenters.blocks import ConvUnit, Residual, enlarge, middle

PRIOR = math.log(0.01 / 0.99)
"""Log-odds that the heads begin with: little of a slice is artery, and hardly any embolus."""

DILATIONS = (1, 3, 5, 7, 9)


class VolumeConv(nn.Module):
    """A convolution with batch norm, of each slice together with its two neighbours (3x3x3), or alone (1x3x3).

    Done as a 2D convolution over three slices side by side: the same numbers as a 3D convolution that is padded in the
    slice and not along the patient, from kernels that every runtime and memory layout for 2D networks takes.

    Args:
        channels_in: Channels in.
        channels_out: Channels out.
        across: Look at the neighbours; the first and the last slice go.
        stride: In the slice.
    """

    def __init__(self, channels_in: int, channels_out: int, across: bool, stride: int = 1) -> None:
        super().__init__()
        self.across = across
        self.conv = nn.Conv2d((3 if across else 1) * channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, z, channels_in, y, x]` to `[n, z - 2 or z, channels_out, y / stride, x / stride]`."""
        if self.across:
            x = torch.cat([x[:, :-2], x[:, 1:-1], x[:, 2:]], dim=2)
        y: torch.Tensor = self.norm(self.conv(x.flatten(0, 1)))
        return torch.unflatten(y, 0, x.shape[:2])


class VolumeResidual(nn.Module):
    """Two `VolumeConv`s, and a shortcut from the slices that are left.

    Args:
        channels_in: Channels in.
        channels_out: Channels out.
        across: Of either convolution.
        stride: Of the first.
    """

    def __init__(self, channels_in: int, channels_out: int, across: tuple[bool, bool], stride: int) -> None:
        super().__init__()
        self.conv1 = VolumeConv(channels_in, channels_out, across[0], stride)
        self.conv2 = VolumeConv(channels_out, channels_out, across[1])
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, z, channels_in, y, x]` to `[n, z - 0, 2 or 4, channels_out, y / stride, x / stride]`."""
        y = self.conv2(F.relu(self.conv1(x)))
        lost = (x.shape[1] - y.shape[1]) // 2
        kept = x[:, lost : x.shape[1] - lost]
        return F.relu(y + torch.unflatten(self.shortcut(kept.flatten(0, 1)), 0, y.shape[:2]))


class Context(nn.Module):
    """Convolutions of several dilations side by side, joined: from the wall of an artery to its neighbours."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.views = nn.ModuleList(ConvUnit(channels_in, channels_out, dilation) for dilation in DILATIONS)
        self.join = nn.Conv2d(len(DILATIONS) * channels_out, channels_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, channels_in, y, x]` to `[n, channels_out, y, x]`."""
        return F.relu(self.join(torch.cat([view(x) for view in self.views], dim=1)))


class Head(nn.Sequential):
    """Features `[n, channels, y, x]` to one map of logits of twice the rows and columns, low everywhere at first."""

    def __init__(self, channels: int) -> None:
        last = nn.Conv2d(channels, 1, 1)
        nn.init.constant_(last.bias, PRIOR)  # type: ignore[arg-type]  # there is a bias
        super().__init__(
            ConvUnit(channels, channels), nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.ReLU(True), last
        )


class ArteryAware3D(nn.Module):
    """Embolus and artery of the middle slice of a volume.

    Args:
        slices: Of the volume; odd. 15 at 2 mm see 28 mm of the patient: an artery can be followed into its
            branches. The stage has to cut as many (`stage.slices=15`).
        outputs: Two: embolus and artery.
        width: Channels of the first level; each level down has as many more.
        levels: Resolutions of the encoder, from half the input's on.

    Raises:
        UsageError: The slices are even in number or more than the encoder can reach across, or outputs are not two.
    """

    def __init__(self, slices: int = 15, outputs: int = 2, width: int = 32, levels: int = 4) -> None:
        super().__init__()
        most = 1 + 2 * (1 + 2 * levels)
        if width < 1 or levels < 1 or slices % 2 == 0 or not 1 <= slices <= most:
            raise UsageError(
                f"a network of {levels} levels looks at an odd number of slices from 1 to {most}, "
                f"got slices={slices}, width={width}, levels={levels}",
                "E_NETWORK_ARGUMENTS",
            )
        if outputs != 2:
            raise UsageError(
                f"the artery-aware network answers two maps, embolus and artery, got outputs={outputs}",
                "E_NETWORK_ARGUMENTS",
            )
        self.slices = slices
        reach = [i < slices // 2 for i in range(1 + 2 * levels)]  # the first convolutions look across slices
        widths = [width * (level + 1) for level in range(levels)]
        self.stem = VolumeConv(1, width, reach[0], stride=2)
        self.down = nn.ModuleList(
            VolumeResidual(a, b, (reach[1 + 2 * level], reach[2 + 2 * level]), stride=2 if level else 1)
            for level, (a, b) in enumerate(pairwise([width, *widths]))
        )
        self.up = nn.ModuleList(Residual(a + b, a) for a, b in pairwise(widths))
        self.scales = nn.ModuleList(nn.Conv2d(one, width, 1) for one in widths)
        self.context = Context(levels * width, width)
        self.artery = Head(width)
        self.embolus = Head(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, slices, y, x]` to logits `[n, 2, y, x]`."""
        volume = middle(x, self.slices)[:, :, None]
        volume = F.relu(self.stem(volume))  # [n, z, width, y / 2, x / 2]
        features: list[torch.Tensor] = []
        for block in self.down:
            volume = block(volume)
            features.append(volume[:, volume.shape[1] // 2])
        for level in reversed(range(len(self.up))):
            skip = features[level]
            features[level] = self.up[level](torch.cat([skip, enlarge(features[level + 1], skip)], dim=1))
        scales = [enlarge(one(f), features[0]) for one, f in zip(self.scales, features, strict=True)]
        seen = self.context(torch.cat(scales, dim=1))  # [n, width, y / 2, x / 2]
        artery = self.artery(seen)
        # The largest of its surroundings: a clot at the wall, that the artery head takes for tissue, lies inside too.
        inside = F.max_pool2d(torch.sigmoid(artery), 4, stride=2, padding=1)
        return torch.cat([self.embolus(seen * inside), artery], dim=1)
