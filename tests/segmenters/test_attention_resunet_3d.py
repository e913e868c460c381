"""The network of volumes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cascade.core.errors import UsageError
from segmenters.attention_resunet_3d import CELL, AttentionResUNet3D, to_cells, to_points


def network(**arguments: Any) -> AttentionResUNet3D:
    torch.manual_seed(0)
    return AttentionResUNet3D(**{"widths": (8, 16, 24), "blocks": (1, 1, 1), **arguments}).eval()


def test_cells_and_points_are_inverses() -> None:
    volume = torch.rand(2, 3, 8, 12, 16)
    cells = to_cells(volume)
    assert cells.shape == (2, 24, 4, 6, 8)
    assert torch.equal(to_points(cells, CELL), volume)
    assert torch.equal(cells[0, :8, 1, 2, 3], volume[0, 0, 2:4, 4:6, 6:8].flatten())


def test_every_point_is_answered_twice_in_training_and_once_otherwise() -> None:
    volume = torch.rand(1, 2, 16, 24, 32)
    answer = network()(volume)
    assert answer.shape == (1, 2, 16, 24, 32)
    answers = network().train()(volume)
    assert [one.shape for one in answers] == [answer.shape, answer.shape]


def test_it_begins_with_the_belief_that_little_is_artery_or_embolus() -> None:
    with torch.inference_mode():
        logits = network()(torch.rand(1, 2, 16, 16, 16))
    assert float(torch.sigmoid(logits).mean()) < 0.05


def test_emboli_are_looked_for_in_arteries_but_not_only() -> None:
    module, volume = network(), torch.rand(1, 2, 16, 16, 16)
    bias = module.artery.bias
    assert bias is not None
    with torch.no_grad():
        bias += 40.0
        inside = module(volume)[:, 0]
        bias -= 80.0
        outside = module(volume)[:, 0]
    assert float((inside - outside).abs().max()) > 1e-3
    assert float(outside.std()) > 1e-4


def test_all_parameters_learn() -> None:
    module = network().train()
    sum(one.square().mean() for one in module(torch.rand(2, 2, 16, 16, 16))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"outputs": 3}, {"widths": (8,), "blocks": (1,)}, {"widths": (8, 20, 24)}, {"blocks": (1, 1)}, {"channels": 0}],
)
def test_arguments_that_fit_no_network_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        network(**wrong)
