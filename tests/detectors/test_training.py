"""Training the lung detector: its pictures, and a run of one epoch."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from cascade.core.errors import UsageError
from detectors.lung_detector import LungDetector, LungDetectorConfig
from detectors.pictures import Looks, pictures, plain
from detectors.trainer import refuse_changes
from detectors.training import DetectorTraining, arguments, train_detector, write_pictures
from tests.strategies import chest

SMALL = LungDetectorConfig(size=64, pixel_mm=8.0)


def test_plain_pictures_are_what_the_stage_sees_with_the_truth_as_boxes() -> None:
    study, truth = chest()
    stage = LungDetector(config=SMALL)
    patches = {f.z: f for f in stage.patches(study, truth)}
    made = list(plain(study, None, SMALL, stride_mm=SMALL.stride_mm))
    shown = [f for f in patches.values() if np.isfinite(stage.crop(study, f)).all()]
    assert len(made) <= len(shown)
    middle = patches[sorted(patches)[len(patches) // 2]]
    rows = stage.target(study, truth, middle)
    same = [p for p in made if np.allclose(p.hu, stage.crop(study, middle)[0], atol=1e-3)]
    assert len(same) == 1
    for label, *box in same[0].boxes:
        assert np.abs(np.array(box) - rows[label, :4]).max() <= 1.5


def test_looks_differ_and_keep_right_on_the_patients_right() -> None:
    study, _ = chest()
    made = list(pictures(study, None, 3, LungDetectorConfig(), Looks(crop=0, padding=0, shift_mm=0), 0, 40.0))
    assert len({p.hu.tobytes() for p in made}) == len(made)
    for picture in made:
        x = {label: (x0 + x1) / 2 for label, x0, _, x1, _ in picture.boxes}
        assert len(x) < 2 or x[0] < x[1]


def test_the_same_seed_gives_the_same_pictures() -> None:
    study, _ = chest()
    one, two = ([p.hu.tobytes() for p in pictures(study, None, 2, SMALL, Looks(), 7, 40.0)] for _ in range(2))
    assert one == two


def test_a_slice_that_is_said_to_have_no_lung_has_no_box() -> None:
    study, _ = chest()
    nothing = np.zeros(study.hu.shape, np.uint8)
    assert all(not p.boxes for p in pictures(study, nothing, 1, SMALL, Looks(), 0, 40.0))


def test_written_pictures_are_read_back_in_the_order_of_the_windows(tmp_path: Path) -> None:
    study, _ = chest(noise_hu=0)
    counts = write_pictures([(study, None)], [(study, None)], tmp_path, SMALL, DetectorTraining(looks=1, stride_mm=40))
    assert counts["pictures_train"] > 0
    picture = next(iter(plain(study, None, SMALL, 40)))
    view = LungDetector(config=SMALL).preprocess(picture.hu[None])
    read = cv2.imread(str(tmp_path / "images" / "val" / "000000.png"))[..., ::-1].transpose(2, 0, 1)
    assert np.abs(read / 255 - view).max() <= 0.5 / 255 + 1e-6


def test_the_trainer_is_told_to_mirror_and_colour_nothing() -> None:
    told = arguments(Path("run"), SMALL, DetectorTraining())
    assert {told[k] for k in ("fliplr", "flipud", "hsv_h", "hsv_s", "mosaic", "bgr")} == {0.0}
    assert not told["pretrained"]
    assert not told["amp"]
    assert told["workers"] == 0


@pytest.mark.parametrize(
    ("device", "gpus", "taken"),
    [("auto", 0, "cpu"), ("auto", 1, "cuda:0"), ("cpu", 2, "cpu"), ("gpu:1", 2, "cuda:1"), ("0,1", 2, "0,1")],
)
def test_the_trainer_takes_a_gpu_where_there_is_one(
    device: str, gpus: int, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cascade.runtime.device._gpus", lambda: (gpus, "so it is here"))
    assert arguments(Path("run"), SMALL, DetectorTraining(device=device))["device"] == taken


def test_a_setting_that_a_resumed_trainer_would_pass_over_is_refused() -> None:
    begun = arguments(Path("run"), SMALL, DetectorTraining(device="cpu"))
    refuse_changes(begun, arguments(Path("moved"), SMALL, DetectorTraining(device="cpu", batch=4, patience=3)))
    with pytest.raises(UsageError, match=r"E_RESUME.*begun with training\.epochs=12.*leave training\.epochs=3 out"):
        refuse_changes(begun, arguments(Path("run"), SMALL, DetectorTraining(device="cpu", epochs=3)))


@pytest.mark.parametrize("device", ["gpu", "tpu", "0,", "1;2"])
def test_a_device_that_is_not_there_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cascade.runtime.device._gpus", lambda: (0, "no GPU was found"))
    with pytest.raises(UsageError, match="E_DEVICE"):
        arguments(Path("run"), SMALL, DetectorTraining(device=device))


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UsageError, match="not empty"):
        train_detector([], [], tmp_path)


def test_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures"):
        train_detector([], [], tmp_path / "run")


def test_every_step_of_the_trainer_is_told_with_its_gradients(tmp_path: Path) -> None:
    steps: list[Mapping[str, float]] = []
    one, two = (chest(seed=seed)[0] for seed in range(2))
    small = DetectorTraining(epochs=3, batch=4, looks=2, stride_mm=10)
    train_detector([(one, None)], [(two, None)], tmp_path / "run", SMALL, small, on_step=steps.append)
    assert [step["step"] for step in steps] == list(range(len(steps)))
    assert len(steps) >= 2
    for step in steps:
        assert 0 < step["clipped_norm"] <= min(step["gradient_norm"], 10.0)
        assert step["loss"] > 0
        assert 0 <= step["data_seconds"] < step["seconds"]
    assert len({step["learning_rate"] for step in steps}) > 1


SCRIPT = """
    import sys
    from pathlib import Path
    seen = []
    watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
    sys.addaudithook(lambda event, args: seen.append((event, str(args)[:200])) if event in watched else None)
    from detectors.lung_detector import LungDetectorConfig
    from detectors.training import DetectorTraining, train_detector
    from detectors.yolo import Yolo
    from tests.strategies import chest
    import torch
    from safetensors.torch import load_file
    config = LungDetectorConfig(size=64, pixel_mm=8.0)
    one, two = (chest(seed=s)[0] for s in range(2))
    done = train_detector([(one, None)], [(two, None)], Path(sys.argv[1]) / "run", config,
                          DetectorTraining(epochs=1, batch=8, looks=1, stride_mm=30))
    done.save(Path(sys.argv[1]) / "yolo.safetensors")
    network = Yolo(**done.arguments)
    network.load_state_dict(load_file(Path(sys.argv[1]) / "yolo.safetensors"))
    assert "mAP50(B)" in done.figures, done.figures
    print("SEEN", seen)
"""


@pytest.mark.slow
def test_an_epoch_gives_weights_that_load_and_opens_no_socket(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "SEEN []"
