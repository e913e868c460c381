"""What learns: the network, the moving average of its weights, and the optimizer."""

from __future__ import annotations

import copy

import torch
from torch import nn

from cascade.runtime.torch_eager import layout
from cascade.training.average import moving_average
from cascade.training.checkpoint import Tensors, restore, snapshot
from cascade.training.distributed import world
from cascade.training.feed import Batch
from cascade.training.losses import Loss, of_all
from cascade.training.memory import memory_mb
from cascade.training.plan import Plan
from cascade.training.precision import autocast

Figures = dict[str, float | torch.Tensor]


class Learner:
    """Learns from a batch at a time.

    Args:
        network: As `cascade.training.loop.fit` takes it.
        criterion: Logits and targets to a scalar.
        plan: Optimizer, precision, penalty, averaging.

    Attributes:
        network: On the device of this process.
        average: The moving average of its weights, in evaluation mode.
    """

    def __init__(self, network: nn.Module, criterion: Loss, plan: Plan) -> None:
        here = world()
        self.criterion, self.plan, self.device = criterion, plan, here.device
        self.layout = layout_to_learn(network, self.device)
        self.network: nn.Module = network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]  # not in the stubs
        torch.backends.cudnn.benchmark = True  # batches are of one size
        self.average: nn.Module = copy.deepcopy(self.network).eval()
        self._together = here.together(self.network)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            fused=self.device.type == "cuda",
        )
        self._update = moving_average(plan.ema)

    def step(self, step: int, rate: float, batch: Batch) -> Figures:
        """Learn from a batch at a rate; the figures stay on the device, so that nothing waits for it."""
        x, y = batch[0].contiguous(memory_format=self.layout), batch[1]
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        in_training(self.network, self.plan)
        with autocast(self.device, self.plan):
            answers = self._together(x)
        loss = of_all(self.criterion, answers, y)
        self._optimizer.zero_grad(set_to_none=True)
        (loss + l1(self.network, self.plan)).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self._optimizer.step()
        self._update(self.average, self.network, step)
        return {
            "loss": loss.detach(),
            "learning_rate": rate,
            "gradient_norm": norm.detach(),
            "clipped_norm": norm.detach().clamp(max=self.plan.clip),
            **memory_mb(self.device),
        }

    def snapshot(self) -> Tensors:
        """Copies of all that a step changes."""
        return snapshot(self.network, self.average, self._optimizer)

    def restore(self, tensors: Tensors) -> None:
        """Go back to what `snapshot` copied."""
        restore(tensors, self.network, self.average, self._optimizer)


NARROW = 8
"""A convolution of fewer output channels, over more than a point, corrupts memory when it learns in channels last on a
processor with AVX2 alone (torch 2.14, oneDNN)."""


def layout_to_learn(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last, which is faster, but where that is known to go wrong."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.modules.conv._ConvNd)]
    narrow = any(one.out_channels < NARROW and max(one.kernel_size) > 1 for one in convolutions)
    if narrow and device.type == "cpu" and not torch.cpu.get_capabilities().get("avx512_f", False):
        return torch.contiguous_format
    return layout(max((p.dim() for p in network.parameters()), default=4))


def in_training(network: nn.Module, plan: Plan) -> None:
    """Set a network to learn; its BatchNorm too, unless that is to stay as it is."""
    network.train()
    if plan.freeze_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def l1(network: nn.Module, plan: Plan) -> torch.Tensor | float:
    """The L1 penalty on the weights of convolutions and linear layers: not on biases, nor on what normalises."""
    if not plan.l1_lambda:
        return 0.0
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    weights = [module.weight for module in network.modules() if isinstance(module, kinds)]
    return plan.l1_lambda * torch.stack([weight.abs().sum() for weight in weights]).sum()
