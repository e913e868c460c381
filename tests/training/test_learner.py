"""The step of a training."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from cascade.training.learner import layout_to_learn

NARROW = """
import torch
from classifiers.siamese import SiameseNet
from cascade.training.learner import Learner
from cascade.training.plan import Plan

plan = Plan(precision="fp32")
learner = Learner(SiameseNet(width=4), lambda logits, targets: (logits - targets).square().mean(), plan)
for step in range(12):
    learner.step(step, 1e-3, (torch.rand(2 + step, 3, 64, 64), torch.zeros(2 + step, 1)))
print("LEARNED")
"""


def test_narrow_convolutions_learn_without_corrupting_memory() -> None:
    done = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout == "LEARNED\n", (done.returncode, done.stderr[-500:])


def test_wide_convolutions_learn_in_channels_last() -> None:
    cpu = torch.device("cpu")
    assert layout_to_learn(nn.Conv2d(3, 16, 3), cpu) == torch.channels_last
    assert layout_to_learn(nn.Conv3d(3, 16, 3), cpu) == torch.channels_last_3d
    assert layout_to_learn(nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 2, 1)), cpu) == torch.channels_last
