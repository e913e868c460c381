"""A network behind one small interface (`cascade.core.stage.Net`), whatever executes it.

`torch` is eager PyTorch in float32, the reference, on CPU or GPU. `openvino` is OpenVINO on the CPU in float32,
`openvino-bf16` the same in bfloat16 where the CPU has it. Names are listed here and nowhere else.
"""

from __future__ import annotations

from cascade.runtime.device import DEFAULT_CPU, FULL_PRECISION, RUNTIMES, Choice, choose
from cascade.runtime.nets import Blueprint, open_net
from cascade.runtime.offline import cache_folder, go_offline

__all__ = [
    "DEFAULT_CPU",
    "FULL_PRECISION",
    "RUNTIMES",
    "Blueprint",
    "Choice",
    "cache_folder",
    "choose",
    "go_offline",
    "open_net",
]
