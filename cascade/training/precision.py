"""The precision of activations: what a plan says, or what the processor does well."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch

from cascade.training.distributed import world
from cascade.training.plan import Plan


def with_precision(plan: Plan, device: torch.device) -> tuple[Plan, str]:
    """A plan whose precision is decided, and a sentence that says why; none where the plan had said it.

    Args:
        plan: With any precision.
        device: Where the network is trained.
    """
    if plan.precision != "auto":
        return plan, ""
    if has_bf16(device.type):
        return replace(plan, precision="bf16"), "precision bf16: the processor has instructions for it"
    return replace(plan, precision="fp32"), "precision fp32: the processor has no instructions for bf16"


def decided(plan: Plan, say: Callable[[str], None]) -> Plan:
    """A plan whose precision is decided for where this process trains; says which it is, where the plan had not."""
    plan, why = with_precision(plan, world().device)
    if why:
        say(why)
    return plan


@functools.cache
def has_bf16(kind: str) -> bool:
    """Whether a kind of device, "cpu" or "cuda", computes in bfloat16 and does not emulate it."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def autocast(device: torch.device, plan: Plan) -> torch.autocast:
    """A block in which activations have the plan's precision."""
    decided, _ = with_precision(plan, device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=decided.precision == "bf16")
