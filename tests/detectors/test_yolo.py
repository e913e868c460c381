"""The network, and the door behind which Ultralytics stays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cascade.errors import UsageError
from cascade.registry import build
from cascade.runtime import open_net
from detectors import NETWORKS
from detectors.yolo import Yolo


@pytest.fixture(scope="module")
def network() -> Yolo:
    torch.manual_seed(0)
    return Yolo().eval()


@pytest.fixture(scope="module")
def views() -> np.ndarray:
    return np.random.default_rng(0).random((4, 3, 128, 128), np.float32)


def test_rows_are_edges_in_pixels_and_probabilities(network: Yolo, views: np.ndarray) -> None:
    rows = open_net(network)(views)
    assert rows.shape == (4, 6, 16 * 16 + 8 * 8 + 4 * 4)
    assert (rows[:, 2] >= rows[:, 0]).all()
    assert (rows[:, 3] >= rows[:, 1]).all()
    assert ((rows[:, 4:] >= 0) & (rows[:, 4:] <= 1)).all()


def test_safetensors_give_the_same_bits(network: Yolo, views: np.ndarray, tmp_path: Path) -> None:
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "yolo.safetensors")
    again = build(NETWORKS, "yolo", {"yaml": "yolo11n.yaml", "classes": 2}).eval()
    again.load_state_dict(load_file(tmp_path / "yolo.safetensors"))
    assert np.array_equal(open_net(again)(views), open_net(network)(views))


def test_the_head_decodes_in_training_mode_too(network: Yolo) -> None:
    rows = Yolo().train()(torch.zeros(2, 3, 64, 64))
    assert rows.shape == (2, 6, 84)
    assert rows.requires_grad


def test_company_changes_nothing(network: Yolo, views: np.ndarray) -> None:
    net = open_net(network)
    assert np.array_equal(net(views[::-1])[::-1], net(views))


def test_openvino_gives_the_same_rows(network: Yolo, views: np.ndarray) -> None:
    reference = open_net(network)(views)
    assert np.abs(open_net(network, runtime="openvino")(views) - reference).max() < 1e-2


def test_only_listed_descriptions_are_built() -> None:
    with pytest.raises(UsageError, match="E_NETWORK_ARGUMENTS"):
        Yolo(yaml="/tmp/other.yaml")
    with pytest.raises(UsageError, match="did you mean 'yolo11n"):
        Yolo(yaml="yolo11n.yml")


SCRIPT = """
    import sys
    seen = []
    watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "pickle.find_class")
    sys.addaudithook(lambda event, args: seen.append((event, str(args)[:200])) if event in watched else None)
    import numpy as np
    import detectors
    assert not {"torch", "ultralytics"} & set(sys.modules)
    from detectors.yolo import Yolo
    from detectors import LungDetector
    from cascade.runtime import open_net
    from safetensors.torch import load_file, save_file
    import torch
    network = Yolo().eval()
    save_file(network.state_dict(), sys.argv[1])
    network.load_state_dict(load_file(sys.argv[1]))
    LungDetector({"yolo": open_net(network)}).predict(np.zeros((1, 3, 64, 64), np.float32))
    print(seen)
"""


def test_building_loading_and_running_open_no_socket_and_unpickle_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "yolo.safetensors")],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"
