from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cascade.training.memory import memory_mb

CPU = torch.device("cpu")


def test_what_is_held_is_counted_while_it_is_held() -> None:
    before = memory_mb(CPU)["rss_mb"]
    block = np.ones(25_000_000)  # 200 MB
    assert memory_mb(CPU)["rss_mb"] - before == pytest.approx(200, abs=40)
    del block
    assert memory_mb(CPU)["gpu_allocated_mb"] == 0.0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says it there")
def test_it_is_what_the_system_says() -> None:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    assert memory_mb(CPU)["rss_mb"] == pytest.approx(int(line.split()[1]) * 1024 / 1e6, rel=0.05)
