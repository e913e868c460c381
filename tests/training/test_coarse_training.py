"""Training a network of volumes: it learns, it is kept, and it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cascade.bundle.weights import read_header, unpack
from cascade.training.coarse import train_coarse
from cascade.training.losses import LossConfig
from cascade.training.plan import Plan
from cascade.training.volumes import VolumeCrops
from tests.training.test_volumes import case

SMALL = {"widths": [8, 16], "blocks": [1, 1]}
CROPS = VolumeCrops(size=(16, 16, 16))
PLAN = Plan(
    steps=6, batch=2, schedule="constant", precision="fp32", evaluate_every=3, look_every=3, save_minutes=0, workers=0
)


def cases(folder: Path) -> list[Path]:
    files = [folder / f"{i}.case" for i in range(2)]
    for i, file in enumerate(files):
        replace(case(), name=f"case-{i}").save(file)
    return files


def test_a_training_that_was_stopped_ends_in_the_same_weights(tmp_path: Path) -> None:
    files = cases(tmp_path)
    whole = train_coarse(files, tmp_path / "whole", arguments=SMALL, plan=PLAN, crops=CROPS)
    # The warm-up is a share of the steps: none, so that both know the same rates.
    assert PLAN.warm_up * PLAN.steps < 1
    train_coarse(files, tmp_path / "parts", arguments=SMALL, plan=replace(PLAN, steps=3), crops=CROPS)
    parts = train_coarse(files, tmp_path / "parts", arguments=SMALL, plan=PLAN, crops=CROPS, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_the_weights_are_kept_with_their_name(tmp_path: Path) -> None:
    trained = train_coarse(cases(tmp_path), tmp_path / "run", arguments=SMALL, plan=PLAN, crops=CROPS)
    blob = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert read_header(blob) == ("attention_resunet_3d", SMALL)
    tensors = unpack(blob)
    for name, value in trained.state_dict().items():
        assert np.allclose(tensors[name], value.numpy(), atol=1e-3), name


@pytest.mark.slow
def test_it_learns_where_the_clot_is(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=120, learning_rate=3e-3, evaluate_every=120, look_every=60, little_sample=2)
    loss = LossConfig({"dice": 1.0, "bce": 1.0}, outputs=(1.0, 0.5))
    train_coarse(cases(tmp_path), tmp_path / "run", arguments=SMALL, plan=plan, crops=CROPS, loss=loss)
