"""The artery-aware network of volumes, and the stage around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.runtime import open_net
from segmenters.artery_aware_3d import ArteryAware3D, VolumeConv
from segmenters.embolus import EmbolusEnsemble
from segmenters.unet import UNet
from tests.segmenters.test_embolus_stage import SMALL, study_with_ball


def network(**arguments: Any) -> ArteryAware3D:
    torch.manual_seed(0)
    return ArteryAware3D(**{"width": 8, **arguments}).eval()


def test_its_convolution_of_three_slices_side_by_side_is_a_3d_convolution() -> None:
    torch.manual_seed(0)
    conv = VolumeConv(3, 5, across=True, stride=2).eval()
    volume = torch.rand(2, 7, 3, 16, 24)
    kernel = conv.conv.weight.unflatten(1, (3, 3)).transpose(1, 2)  # [out, z, in, y, x] to [out, in, z, y, x]
    known = F.conv3d(volume.transpose(1, 2), kernel, stride=(1, 2, 2), padding=(0, 1, 1)).transpose(1, 2)
    assert torch.allclose(conv(volume), known / (1 + conv.norm.eps) ** 0.5, atol=1e-5)


@pytest.mark.parametrize(("slices", "levels"), [(1, 2), (7, 2), (15, 4), (19, 4)])
def test_the_middle_slice_is_answered_from_all_slices(slices: int, levels: int) -> None:
    volume = torch.rand(1, slices, 64, 64, requires_grad=True)
    module = network(slices=slices, levels=levels)
    answer = module(volume)
    assert answer.shape == (1, 2, 64, 64)
    answer[..., 32, 32].sum().backward()
    assert volume.grad is not None
    assert (volume.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_nothing_is_embolus_where_nothing_is_artery() -> None:
    module, volume = network(), torch.rand(1, 15, 64, 64)
    with torch.no_grad():
        module.artery[-1].bias += 40.0
        assert float(module(volume)[0, 0, ::2, ::2].std()) > 1e-4
        module.artery[-1].bias -= 80.0
        assert float(module(volume)[0, 0, ::2, ::2].std()) < 1e-7


def test_it_begins_with_the_belief_that_little_is_artery_or_embolus() -> None:
    with torch.inference_mode():
        probabilities = torch.sigmoid(network()(torch.rand(1, 15, 64, 64)))
    assert float(probabilities.min()) > 0.005
    assert float(probabilities.max()) < 0.02


@pytest.mark.parametrize("arguments", [{"slices": 8}, {"slices": 21}, {"slices": -1}, {"outputs": 3}, {"levels": 0}])
def test_volumes_without_a_middle_or_beyond_its_reach_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="E_NETWORK_ARGUMENTS"):
        network(**arguments)


def test_the_stage_runs_it_beside_a_network_of_fewer_slices() -> None:
    study, truth = study_with_ball()
    stage = EmbolusEnsemble(
        {"volume": open_net(network()), "slices": open_net(UNet(slices=7, width=4, levels=2).eval())},
        replace(SMALL, slices=15),
    )
    found = stage(study, Findings(study.grid, lungs=truth.lungs))
    assert found.embolus is not None
    assert found.std is not None
    assert (found.std.values > 0).all()


def test_a_stage_that_cuts_fewer_slices_than_it_looks_at_is_told_what_to_set() -> None:
    study, truth = study_with_ball()
    with pytest.raises(UsageError, match=r"E_SLICES.*set stage.slices=15"):
        EmbolusEnsemble({"volume": open_net(network())}, SMALL)(study, Findings(study.grid, lungs=truth.lungs))
