"""The segmentation networks: what their sources say of them, and what all of them do alike."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import segmenters
from cascade.core.errors import UsageError
from cascade.core.registry import build
from cascade.training.losses import SEGMENTATION, loss_of, of_all
from segmenters import NETWORKS
from tests.agreement import dice
from tests.small_bundle import small_arguments

every_network = pytest.mark.parametrize("name", [name for name in NETWORKS if name != "smp"])
QUICK = (
    "tiny_unet",
    "nested_unet",
    "tiny_attention_resunet",
)  # These learn in two seconds; all together need a minute.
every_network_quick_or_slow = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NETWORKS if n != "smp"]
)
GATED = ("attention_unet", "tiny_attention_unet", "attention_r2unet", "attention_resunet", "tiny_attention_resunet")


def network(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = build(NETWORKS, name, arguments)
    return module


def small(name: str, **arguments: Any) -> nn.Module:
    return network(name, **{**small_arguments("embolus", name), **arguments})


def answers(told: torch.Tensor | list[torch.Tensor]) -> list[torch.Tensor]:
    return told if isinstance(told, list) else [told]


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("unet", {}, 7_852_578),
        ("tiny_unet", {"levels": 2}, 103_074),
        ("tiny_unet", {"levels": 3}, 472_866),
        ("tiny_unet", {"levels": 4}, 1_949_730),
        ("r2unet", {}, 8_297_698),
        ("attention_unet", {}, 8_202_662),
        ("tiny_attention_unet", {"levels": 4}, 2_036_645),
        ("attention_r2unet", {}, 8_647_782),
        ("attention_r2unet", {"levels": 4}, 2_153_317),
        ("nested_unet", {}, 9_163_560),
        ("xnet", {}, 3_112_290),
        ("nfn_plus", {}, 1_138_412 - 8),  # the source's outputs pass a batch norm each
        ("u2net", {}, 44_023_718),
        ("u2netp", {}, 1_134_662),
    ],
)
def test_a_network_of_three_slices_has_as_many_parameters_as_its_source(
    name: str, arguments: dict[str, Any], parameters: int
) -> None:
    with torch.device("meta"):
        module = network(name, slices=3, **arguments)
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_a_u2net_of_one_output_has_the_44009869_parameters_of_its_paper() -> None:
    with torch.device("meta"):
        module = network("u2net", slices=3, outputs=1)
    assert sum(p.numel() for p in module.parameters()) == 44_009_869


def test_the_packages_table_names_every_network_with_its_parameters() -> None:
    told = dict(re.findall(r"^\| `(\w+)` +\| +([\d,]+) \|", str(segmenters.__doc__), re.MULTILINE))
    assert list(told) == list(NETWORKS)
    for name, count in told.items():
        with torch.device("meta"):
            assert f"{sum(p.numel() for p in network(name).parameters()):,}" == count, name


def test_the_choices_are_known_without_torch() -> None:
    code = "import sys; from segmenters import NETWORKS; sys.exit(len(NETWORKS) < 15 or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_network
def test_a_network_keeps_the_rows_and_columns_of_any_sample_of_sixteens(name: str) -> None:
    with torch.inference_mode():
        assert small(name).eval()(torch.rand(1, 7, 48, 80)).shape == (1, 2, 48, 80)


@every_network
def test_in_training_a_network_may_answer_several_times_and_its_answer_comes_first(name: str) -> None:
    module = small(name).eval()
    views = torch.rand(1, 7, 32, 32)
    with torch.no_grad():
        answer = module(views)
        module.training = True  # of the network alone: its batch norms go on by their statistics
        told = answers(module(views))
    assert torch.equal(told[0], answer)
    assert {one.shape for one in told} == {(1, 2, 32, 32)}
    assert len(told) == {"nested_unet": 2, "u2net": 7, "u2netp": 7, "nfn_plus": 2}.get(name, 1)


def painted() -> tuple[torch.Tensor, torch.Tensor]:
    """Two samples and their coverage: a bright tube along the patient, with a dark clot beside its middle."""
    rows, columns = np.indices((48, 48))
    views, targets = np.full((2, 7, 48, 48), 0.2, np.float32), np.zeros((2, 2, 48, 48), np.float32)
    for i, (row, column) in enumerate([(16, 28), (29, 17)]):
        artery = np.hypot(rows - row, columns - column) < 12
        clot = np.hypot(rows - row + 3, columns - column) < 6
        views[i, :, artery] = 0.9
        views[i, :, clot] = 0.4
        targets[i] = clot, artery
    noise = np.random.default_rng(0).normal(0, 0.02, views.shape)
    return torch.from_numpy((views + noise).astype(np.float32)), torch.from_numpy(targets)


@every_network_quick_or_slow
def test_a_network_learns_a_painted_clot_and_its_artery(name: str) -> None:
    module, (views, targets) = small(name, width=8), painted()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for step in range(300):
        loss = of_all(loss_of(SEGMENTATION), module.train()(views), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19:
            with torch.inference_mode():
                logits = module.eval()(views)
            found = [dice((logits[:, c] > 0).numpy(), targets[:, c].numpy() > 0) for c in range(2)]
            if min(found) > 0.95:
                break
    assert min(found) > 0.95
    assert logits.min() < -1
    assert logits.max() > 1


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("name", GATED)
def test_every_gate_of_an_attention_network_decides_at_every_depth(name: str, levels: int) -> None:
    module = small(name, levels=levels, width=8).eval()
    views = torch.rand(1, 7, 32, 32)
    answer = module(views)
    answer.square().mean().backward()
    assert len(module.gates) == levels - 1
    for gate in module.gates:
        assert all(float(p.grad.abs().max()) > 0 for p in (gate.skip.weight, gate.gate.weight, gate.weight.weight))
        with torch.no_grad():
            gate.weight.bias -= 30.0
            assert not torch.equal(module(views), answer)
            gate.weight.bias += 30.0


@every_network
def test_a_network_sees_the_middle_slices_of_a_sample_with_more(name: str) -> None:
    module = small(name, slices=3).eval()
    views = torch.rand(1, 7, 32, 32)
    with torch.inference_mode():
        answer = module(views)
        assert torch.equal(module(views[:, 2:5]), answer)
        assert not torch.equal(module(views.roll(1, 1)), answer)


@every_network
def test_a_sample_of_too_few_slices_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"E_SLICES.*looks at 7 slices, the sample has 5; set stage.slices=7"):
        small(name)(torch.rand(1, 5, 32, 32))


@pytest.mark.parametrize(
    ("name", "arguments"), [("unet", {"width": 0}), ("attention_unet", {"levels": 1}), ("u2net", {"width": 6})]
)
def test_sizes_that_make_no_network_are_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="E_NETWORK_ARGUMENTS"):
        network(name, **arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"architecture": "unett"}, "no architecture 'unett'; did you mean 'unet'"),
        ({"encoder": "resnet19"}, "no encoder 'resnet19'; did you mean 'resnet1"),
        ({"encoder": "tu-lcnet_051"}, "no encoder 'tu-lcnet_051'; did you mean 'tu-lcnet_0"),
        ({"architecture": "unetplusplus", "encoder": "mit_b0"}, "cannot make 'unetplusplus' with encoder 'mit_b0'"),
    ],
)
def test_a_network_that_the_library_does_not_have_is_refused_with_the_nearest(
    arguments: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        network("smp", **arguments)


def test_further_arguments_reach_the_library_by_its_own_names() -> None:
    module = network("smp", encoder="tu-lcnet_050", options={"decoder_channels": [64, 32, 16, 8, 4]}).eval()
    with torch.inference_mode():
        assert module(torch.rand(1, 7, 64, 96)).shape == (1, 2, 64, 96)
    assert module.network.segmentation_head[0].in_channels == 4
