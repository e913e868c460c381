from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cascade.training.plan import Plan
from cascade.training.precision import autocast, has_bf16, with_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a processor can is looked up anew."""
    has_bf16.cache_clear()
    yield
    has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"neon": True}, "fp32"),
    ],
)
def test_a_processor_trains_in_the_precision_that_it_does_well(
    capabilities: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    plan, why = with_precision(Plan(), CPU)
    assert plan.precision == precision
    assert why.startswith(f"precision {precision}: the processor has")
    with autocast(CPU, Plan()):
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")


@pytest.mark.parametrize("has", [False, True])
def test_a_gpu_that_emulates_bf16_does_not_do_it_well(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has or including_emulation)
    assert with_precision(Plan(), torch.device("cuda", 1))[0].precision == ("bf16" if has else "fp32")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_precision_that_the_plan_says_is_kept_without_a_word(precision: str) -> None:
    plan = Plan(precision=precision)  # type: ignore[arg-type]  # one of its names
    assert with_precision(plan, CPU) == (plan, "")
