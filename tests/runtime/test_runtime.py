from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cascade.core.errors import BundleError, UsageError
from cascade.runtime import RUNTIMES, Blueprint, RuntimeNet, choose, offline, open_net
from cascade.runtime import device as devices
from cascade.runtime.opening import runtime_class
from cascade.runtime.runtimes import DEFAULT_CPU

CPU = [name for name in RUNTIMES if name != "torch"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PE_CASCADE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 2, 3, stride=2, padding=1)
    ).eval()


def batch(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 24, 32), dtype=np.float32)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_answer_that_is_no_number_is_refused_and_does_not_pass_for_no_embolism(runtime: str) -> None:
    broken = network()
    torch.nn.init.constant_(broken[3].bias, float("nan"))
    with pytest.raises(BundleError, match="E_NOT_FINITE: network 'small'"):
        open_net(Blueprint("small", lambda: broken), runtime=runtime)(batch())


@pytest.mark.parametrize("runtime", CPU)
def test_every_runtime_answers_as_torch_does(runtime: str) -> None:
    expected = open_net(network())(batch())
    got = open_net(network(), runtime=runtime)(batch())
    assert got.shape == expected.shape == (5, 2, 12, 16)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() < (1e-5 if runtime == "openvino" else 0.02)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_takes_another_size_of_batch_and_of_picture(runtime: str) -> None:
    net = open_net(network(), runtime=runtime)
    assert net(batch(1)).shape == (1, 2, 12, 16)
    assert net(batch(3)[:, :, :16, :16]).shape == (3, 2, 8, 8)
    assert np.allclose(net(batch(1)), net(batch(3))[:1], atol=1e-5)


def blueprint(key: str, calls: list[str]) -> Blueprint:
    def build() -> nn.Module:
        calls.append(key)
        return network(len(key))

    return Blueprint("small", build, key, (3, 24, 32))


def test_a_compiled_form_is_kept_and_spares_building_the_network(own_cache: Path) -> None:
    calls: list[str] = []
    first = open_net(blueprint("a", calls), runtime="openvino")(batch())
    assert list((own_cache / "openvino").glob("*.xml"))
    again = open_net(blueprint("a", calls), runtime="openvino")(batch())
    assert calls == ["a"]
    assert np.array_equal(first, again)


def test_other_weights_never_take_the_compiled_form_of_these() -> None:
    calls: list[str] = []
    one = open_net(blueprint("a", calls), runtime="openvino")(batch())
    other = open_net(blueprint("ab", calls), runtime="openvino")(batch())
    assert calls == ["a", "ab"]
    assert not np.allclose(one, other)


def test_an_unreadable_compiled_form_is_made_anew(own_cache: Path) -> None:
    calls: list[str] = []
    expected = open_net(blueprint("a", calls), runtime="openvino")(batch())
    for path in (own_cache / "openvino").glob("*.xml"):
        path.write_text("<net")
    assert np.array_equal(open_net(blueprint("a", calls), runtime="openvino")(batch()), expected)
    assert calls == ["a", "a"]


@pytest.mark.parametrize("suffix", [".xml", ".bin", ".sha256"])
@pytest.mark.parametrize("damage", ["bit", "half", "gone"])
def test_a_damaged_compiled_form_never_answers(own_cache: Path, suffix: str, damage: str) -> None:
    calls: list[str] = []
    expected = open_net(blueprint("a", calls), runtime="openvino")(batch())
    (path,) = (own_cache / "openvino").glob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content if damage == "bit" else content[: len(content) // 2])
    if damage == "gone":
        path.unlink()
    assert np.array_equal(open_net(blueprint("a", calls), runtime="openvino")(batch()), expected)
    assert calls == ["a", "a"]
    open_net(blueprint("a", calls), runtime="openvino")(batch())
    assert calls == ["a", "a"]  # and the one that was made anew is whole again


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PE_CASCADE_CACHE", str(tmp_path / "file"))
    assert open_net(blueprint("a", []), runtime="openvino")(batch()).shape == (5, 2, 12, 16)


def test_precision_is_always_said_to_openvino() -> None:
    import openvino

    from cascade.runtime.openvino import OpenVinoBf16Net, OpenVinoNet, precision_of

    for kind in (OpenVinoNet, OpenVinoBf16Net):
        net = kind(Blueprint("small", network, input=(3, 24, 32)))
        request = net.requests((3, 24, 32)).get()
        hint = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        assert hint.get_type_name() == precision_of(openvino.Core(), kind.wanted)
    assert precision_of(openvino.Core(), "f32") == "f32"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_says_of_itself_what_a_choice_needs(runtime: str) -> None:
    kind = runtime_class(runtime)
    assert issubclass(kind, RuntimeNet)
    assert set(kind.devices) <= {"cpu", "cuda"}
    partner = open_net(network(), runtime=runtime, full_precision=True)
    assert partner.full_precision is None
    assert type(partner) is (kind if kind.full_precision is None else runtime_class(kind.full_precision))


@pytest.mark.parametrize("runtime", CPU)
def test_callers_that_hold_every_request_make_another_wait_and_none_is_lost(runtime: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    net = open_net(network(), runtime=runtime)
    expected = net(batch())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: net(batch()), range(64)))
    assert all(np.array_equal(answer, expected) for answer in answers)


@pytest.mark.parametrize("runtime", CPU)
def test_a_batch_that_cannot_be_inferred_leaves_the_network_usable(runtime: str) -> None:
    net = open_net(network(), runtime=runtime)
    expected = net(batch())
    for _ in range(20):
        with pytest.raises((ValueError, TypeError)):
            net(np.array([[[["no number"]]]] * 3).repeat(3, axis=1).repeat(24, axis=2).repeat(32, axis=3))
    assert np.array_equal(net(batch()), expected)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_is_opened_anew_where_it_is_unpickled(runtime: str) -> None:
    net = open_net(network(), runtime=runtime)
    assert np.array_equal(pickle.loads(pickle.dumps(net))(batch()), net(batch()))


def test_an_unknown_runtime_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        choose("cpu", "openvin")
    with pytest.raises(UsageError, match="E_RUNTIME"):
        open_net(network(), runtime="tensorrt")


def test_a_device_that_was_asked_for_and_is_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda: (0, "no GPU was found"))
    for device in ("gpu", "gpu:0"):
        with pytest.raises(UsageError, match="no GPU was found"):
            choose(device)
    with pytest.raises(UsageError, match="auto, cpu, gpu"):
        choose("tpu")


def test_auto_falls_back_to_the_cpu_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda: (0, "no GPU was found"))
    choice = choose("auto")
    assert (choice.runtime, choice.device) == (DEFAULT_CPU, "cpu")
    assert "no GPU" in choice.note


def test_a_gpu_is_taken_where_there_is_one_and_the_runtime_can_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda: (2, "two"))
    assert choose("auto").device == "cuda:0"
    assert choose("gpu:1").device == "cuda:1"
    assert choose("auto", "openvino").device == "cpu"
    with pytest.raises(UsageError, match="two"):
        choose("gpu:2")
    with pytest.raises(UsageError, match="CPU only"):
        choose("gpu", "openvino")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_answers_as_the_cpu_does() -> None:
    expected = open_net(network())(batch())
    assert np.abs(open_net(network(), device="cuda:0")(batch()) - expected).max() < 1e-4


OFFLINE = """
import sys
calls = []
sys.addaudithook(lambda event, args: calls.append((event, args)) if event.startswith("socket.") else None)
from cascade.runtime import Blueprint, offline, open_net
import torch
import numpy as np
from detectors.ultralytics_door import detection_model, trainer
detection_model("yolo11n.yaml", 2)
trainer("yolo11n.yaml")
with offline():
    import albumentations, timm
open_net(torch.nn.Conv2d(1, 1, 3).eval(), runtime="openvino")(np.zeros((1, 1, 8, 8), np.float32))
bad = [c for c in calls if c[0] in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")]
assert not bad, bad
assert "openvino_telemetry" not in sys.modules
"""


def without_a_word(home: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """What a process says that imports and uses every library, in a home folder of its own."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("YOLO", "HF_", "XDG", "CI"))},
        "HOME": str(home),
        "PE_CASCADE_CACHE": str(cache),
        "MPLCONFIGDIR": str(home.parent / "mpl"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, timeout=200)


def test_no_library_opens_a_socket_or_writes_into_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = without_a_word(home, tmp_path / "cache")
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (home / "intel").exists()
    assert not (home / ".config").exists()


def test_switches_hold_inside_and_are_gone_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", "/tmp/mine")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "yes")
    before = dict(os.environ)
    with offline():
        assert os.environ["YOLO_OFFLINE"] == "1"
        assert os.environ["YOLO_AUTOINSTALL"] == "0"
        assert os.environ["YOLO_CONFIG_DIR"] == "/tmp/mine"
        os.environ["OMP_NUM_THREADS"] = "77"  # as an import does it
        with offline():
            assert "HF_HUB_OFFLINE" not in os.environ
        assert os.environ["YOLO_OFFLINE"] == "1"
    assert dict(os.environ) == before


def test_switches_are_gone_where_blocks_of_threads_overlap() -> None:
    before = dict(os.environ)
    first, second = offline(), offline()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["YOLO_OFFLINE"] == "1"
    second.__exit__(None, None, None)
    assert dict(os.environ) == before


def test_a_variable_that_another_thread_set_meanwhile_was_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_USER", "before")
    with offline():
        os.environ["OF_THE_USER"] = "kept"
    assert os.environ["OF_THE_USER"] == "kept"


def test_an_error_inside_puts_everything_back() -> None:
    before = dict(os.environ), np.get_printoptions(), list(warnings.filters)

    def breaks() -> None:
        with offline():
            np.set_printoptions(linewidth=320)
            warnings.simplefilter("ignore")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        breaks()
    assert (dict(os.environ), np.get_printoptions(), list(warnings.filters)) == before
