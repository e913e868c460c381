"""The runtimes by name, each as `"module:Class"`; what a runtime is like, its class says."""

from __future__ import annotations

RUNTIMES = {
    "torch": "cascade.runtime.torch_eager:TorchNet",
    "openvino": "cascade.runtime.openvino:OpenVinoNet",
    "openvino-bf16": "cascade.runtime.openvino:OpenVinoBf16Net",
}
"""`torch` is eager PyTorch in float32, the reference. `openvino` is OpenVINO in float32, `openvino-bf16` the same in
bfloat16 where the CPU has it."""

DEFAULT_CPU = "openvino-bf16"
DEFAULT_GPU = "torch"
