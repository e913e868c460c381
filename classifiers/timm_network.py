"""Any classification network of timm, with one logit a question.

Code: timm (Wightman, Apache-2.0), which names the paper of each. By default EfficientNetV2-S: Tan and Le,
"EfficientNetV2: Smaller Models and Faster Training", ICML 2021.
Differs from timm: values in 0..1 come in and are normalised here, so that a compiled network holds the rule. Nothing is
downloaded; start weights come from a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from cascade.core.errors import UsageError
from cascade.core.registry import nearest

OUTPUTS = ("lung", "pe")


class TimmNetwork(nn.Module):
    """A timm network that answers "does the slice show lung?" and "does it show an embolus?".

    Args:
        model: Name in timm.
        outputs: Number of logits; the first two are `OUTPUTS`.
        dropout: Rate before the last layer.
        mean: Subtracted from every channel.
        std: Divided by.
        size: Rows and columns of the pictures, for a network that is built for one size (most transformers).

    Raises:
        UsageError: timm has no network of that name, or it takes no size.
    """

    def __init__(
        self,
        model: str = "tf_efficientnetv2_s",
        outputs: int = len(OUTPUTS),
        dropout: float = 0.2,
        mean: float = 0.5,
        std: float = 0.5,
        size: int | None = None,
    ) -> None:
        super().__init__()
        if not timm.is_model(model):
            raise UsageError(
                f"timm has no network {model!r}; {nearest(model, timm.list_models())}", "E_UNKNOWN_NETWORK"
            )
        self.model, self.mean, self.std = model, mean, std
        sized: dict[str, Any] = {} if size is None else {"img_size": size}
        self.net: nn.Module = timm.create_model(
            model, pretrained=False, num_classes=outputs, drop_rate=dropout, **sized
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, outputs]` of pictures in 0..1, `[n, 3, y, x]`."""
        logits: Tensor = self.net((x - self.mean) / self.std)
        return logits

    def start_from_timm(self, path: Path) -> None:
        """Take every layer but the last from a file of the network as timm keeps it, with any number of classes.

        Args:
            path: A safetensors file, such as the `model.safetensors` that its authors publish.

        Raises:
            UsageError: The file holds another network's tensors.
        """
        from safetensors.torch import load_file

        named = self.net.pretrained_cfg["classifier"]  # type: ignore[index]  # a dictionary
        last = tuple(f"{name}." for name in ([named] if isinstance(named, str) else named))
        ours = {k: v.shape for k, v in self.net.state_dict().items() if not k.startswith(last)}
        start = {k: v for k, v in load_file(path).items() if not k.startswith(last)}
        theirs = {k: v.shape for k, v in start.items()}
        # Counters of batches come with some files only.
        differing = {k for k, _ in ours.items() ^ theirs.items() if not k.endswith("num_batches_tracked")}
        if differing:
            raise UsageError(
                f"{path} does not hold {self.model!r}: {len(differing)} tensors differ, {min(differing)!r} first; "
                "name the file of that network"
            )
        self.net.load_state_dict(start, strict=False)
