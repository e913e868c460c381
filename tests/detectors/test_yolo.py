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

from cascade.bundle import Bundle, Network, StageEntry, load, save
from cascade.core.errors import UsageError
from cascade.core.registry import build
from cascade.runtime import open_net
from detectors import NETWORKS, LungDetectorConfig
from detectors.architectures import architectures
from detectors.nms import suppress
from detectors.ultralytics_door import detection_model
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
    rows = Yolo()(torch.zeros(2, 3, 64, 64))
    assert rows.shape == (2, 6, 84)
    assert rows.requires_grad


def test_company_changes_nothing(network: Yolo, views: np.ndarray) -> None:
    net = open_net(network)
    assert np.array_equal(net(views[::-1])[::-1], net(views))


def test_openvino_gives_the_same_rows(network: Yolo, views: np.ndarray) -> None:
    reference = open_net(network)(views)
    assert np.abs(open_net(network, runtime="openvino")(views) - reference).max() < 1e-2


FAMILIES = ("yolov8n.yaml", "yolo11n.yaml", "yolo12n.yaml", "yolo26n.yaml")


def of_random_answers(yaml: str, views: np.ndarray) -> Yolo:
    """A detector with random weights whose boxes and scores differ from place to place, unlike those of fresh ones."""
    torch.manual_seed(0)
    module = Yolo(yaml)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        module(torch.from_numpy(views))
        head = module.body.model[-1]
        for boxes, scores in zip(head.cv2, head.cv3, strict=True):
            boxes[-1].weight.normal_(std=0.03)
            scores[-1].weight.normal_(std=0.3)
            scores[-1].bias.zero_()
    return module.eval()


@pytest.mark.parametrize("yaml", FAMILIES)
def test_every_family_answers_with_the_boxes_that_ultralytics_makes_of_it(yaml: str, views: np.ndarray) -> None:
    from ultralytics.utils.nms import non_max_suppression

    ours, theirs = of_random_answers(yaml, views), detection_model(yaml, 2).eval()
    theirs.load_state_dict(ours.body.state_dict())
    theirs.end2end = False
    with torch.no_grad():
        known = non_max_suppression(theirs(torch.from_numpy(views[:1])), 0.3, 0.5, multi_label=True, max_det=1000)[0]
    found = suppress(open_net(ours)(views[:1])[0].T, 0.3, 0.5)
    assert len(found) == len(known) > 10
    # Answers of nearly one score may stand in another order: which of them is higher depends on the processor.
    left = list(found)
    for *box, score, label in known.numpy():
        same = [
            mine
            for mine in left
            if mine.label == int(label) and abs(mine.score - score) < 1e-4 and np.allclose(mine.box, box, atol=1e-2)
        ]
        assert same, f"nothing at {box} with {score:.4f}"
        left.remove(same[0])


@pytest.mark.parametrize("yaml", [name for name in FAMILIES if name != "yolo11n.yaml"])  # which the laws hold
def test_every_family_keeps_the_laws_of_networks(yaml: str, views: np.ndarray, tmp_path: Path) -> None:
    module = of_random_answers(yaml, views)
    rows = open_net(module)(views)
    assert rows.shape == (4, 6, 16 * 16 + 8 * 8 + 4 * 4)
    assert np.array_equal(open_net(module)(views[::-1])[::-1], rows)
    entry = StageEntry("lung_detector", LungDetectorConfig(), (Network.of("yolo", {"yaml": yaml}, module),))
    save(Bundle("one", (entry,)), tmp_path)
    again = open_net(load(tmp_path).stages[0].networks[0].module("lung_detector"))(views)
    assert np.abs(again - rows)[:, 4:].mean() < 1e-2  # kernels have 16 bits


@pytest.mark.slow
@pytest.mark.parametrize("yaml", [name for name in FAMILIES if name != "yolo11n.yaml"])
def test_openvino_gives_the_same_rows_of_every_family(yaml: str, views: np.ndarray) -> None:
    module = of_random_answers(yaml, views)
    assert np.abs(open_net(module, runtime="openvino")(views) - open_net(module)(views)).max() < 1e-2


def test_every_size_of_every_family_is_known_by_name() -> None:
    for family in ("yolov8", "yolo11", "yolo12", "yolo26"):
        assert {f"{family}{size}.yaml" for size in "nsm"} <= set(architectures())


def test_sizes_of_a_family_differ() -> None:
    counts = [sum(p.numel() for p in Yolo(f"yolo26{size}.yaml").parameters()) for size in "ns"]
    assert counts[1] > 3 * counts[0]


@pytest.mark.parametrize(
    ("yaml", "nearest"),
    [
        ("yolo11n.yml", "did you mean 'yolo11n.yaml'"),
        ("yolo26q.yaml", "did you mean 'yolo26"),
        ("yolo11n-seg.yaml", "did you mean"),
        ("rtdetr-l.yaml", "answers with rows; "),
        ("/tmp/other.yaml", "known: "),
    ],
)
def test_a_description_that_is_no_detector_of_ultralytics_is_refused(yaml: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"E_NETWORK_ARGUMENTS.*{nearest}"):
        Yolo(yaml=yaml)


def test_a_file_of_the_same_name_in_the_working_folder_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yolo11n.yaml").write_text("nc: 2")
    monkeypatch.chdir(tmp_path)
    assert sum(p.numel() for p in Yolo().parameters()) > 2_000_000


SCRIPT = """
    import sys
    seen = []
    watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "pickle.find_class")
    sys.addaudithook(lambda event, args: seen.append((event, str(args)[:200])) if event in watched else None)
    import numpy as np
    import detectors
    from detectors.architectures import architectures
    assert "yolo11n.yaml" in architectures()
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
