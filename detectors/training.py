"""Training the lung detector with Ultralytics' own trainer, from studies that the threshold finder labels.

The trainer keeps its pictures, its logs and its own `.pt` files in the run folder; what leaves it is safetensors.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.bounds import COUNT, NOT_NEGATIVE, POSITIVE, refuse_outside
from cascade.core.errors import UsageError
from cascade.core.files import write_bytes
from cascade.core.study import Study
from cascade.runtime.device import choose
from detectors.lung_detector import LABELS, LungDetector, LungDetectorConfig
from detectors.pictures import Labels, Looks, Picture, pictures, plain
from detectors.step_logger import Noted
from detectors.trainer import OnEpoch, run_trainer
from detectors.ultralytics_door import check

Labelled = tuple[Study, Labels | None]
"""A study and its lungs: sides `[z, y, x]`, or None where the threshold finder is to label it."""


@dataclass(frozen=True)
class DetectorTraining:
    """How the detector is trained.

    Attributes:
        yaml: Description of the network, a name in `detectors.architectures.architectures()`.
        epochs: Passes over the pictures.
        batch: Pictures a step.
        rate: Highest learning rate, AdamW.
        looks: Pictures made of each slice that shows lung; a slice without lung gives as many.
        stride_mm: At most one slice in so many mm.
        patience: Epochs without a better validation after which training ends.
        seed: Of everything random.
        device: auto (a GPU where there is one), cpu, gpu, gpu:N, or numbers of several GPUs such as 0,1.
        spread: How far the looks spread.
    """

    yaml: str = "yolo11n.yaml"
    epochs: int = 12
    batch: int = 16
    rate: float = 2e-3
    looks: int = 6
    stride_mm: float = 3.0
    patience: int = 50
    seed: int = 0
    device: str = "auto"
    spread: Looks = field(default_factory=Looks)

    def __post_init__(self) -> None:
        """Refuse what no training can be run with, before a folder is made for it."""
        check(self.yaml, 1)
        bounds = {
            COUNT: ("epochs", "batch", "looks"),
            POSITIVE: ("rate", "stride_mm"),
            NOT_NEGATIVE: ("patience", "seed"),
        }
        refuse_outside(self, "training", "E_PLAN", bounds)

    @property
    def torch_device(self) -> str:
        """The device as Ultralytics takes it: `cpu`, `cuda:1`, or the numbers of several GPUs.

        Raises:
            UsageError: It is not there.
        """
        return self.device if re.fullmatch(r"\d+(,\d+)+", self.device) else choose(self.device, "torch").device


@dataclass(frozen=True)
class TrainedDetector:
    """What training gives.

    Attributes:
        state: Tensors of `detectors.yolo.Yolo`, float32, by name.
        arguments: What `Yolo` is called with.
        figures: mAP on the validation pictures, number of pictures.
        folder: The trainer's own run folder.
    """

    state: Mapping[str, NDArray[Any]]
    arguments: Mapping[str, Any]
    figures: Mapping[str, float]
    folder: Path

    def save(self, path: Path) -> None:
        """Write the tensors as safetensors, and the arguments and figures as JSON beside them."""
        from safetensors.numpy import save

        write_bytes(path, save({key: np.ascontiguousarray(value) for key, value in self.state.items()}))
        about = {"name": "yolo", "arguments": dict(self.arguments), "figures": dict(self.figures)}
        write_bytes(path.with_suffix(".json"), (json.dumps(about, indent=2) + "\n").encode())


def train_detector(
    studies: Iterable[Labelled],
    validation: Iterable[Labelled],
    run_dir: Path,
    config: LungDetectorConfig | None = None,
    training: DetectorTraining | None = None,
    *,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: Noted = lambda _: None,
) -> TrainedDetector:
    """Train a detector from random weights.

    Args:
        studies: To learn from; whole chests, single slices and studies without lungs.
        validation: Of other patients.
        run_dir: Folder for pictures, logs and the trainer's files; it must hold none of them yet.
        config: What the stage that will use the network sees.
        training: How to train.
        resume: Go on with the run in the folder, by the trainer's own means; one that was killed within an epoch
            begins that epoch again.
        on_epoch: Called after every epoch.
        on_step: Called after every step.

    Raises:
        UsageError: A set gives no pictures, or the folder holds a run already.
    """
    config, training = config or LungDetectorConfig(), training or DetectorTraining()
    pictures_dir, own = run_dir / "pictures", run_dir / "ultralytics"
    if not resume and (pictures_dir.exists() or own.exists()):
        raise UsageError(
            f"{run_dir} is not empty: it holds a run of the detector; choose another folder", "E_RUN_EXISTS"
        )
    if not (pictures_dir / "counts.json").is_file():
        try:
            shutil.rmtree(pictures_dir, ignore_errors=True)
            counts = write_pictures(studies, validation, pictures_dir, config, training)
            # Written last: pictures without it are not all there.
            (pictures_dir / "counts.json").write_text(json.dumps(counts))
        except BaseException:
            shutil.rmtree(pictures_dir, ignore_errors=True)
            raise
    counts = json.loads((pictures_dir / "counts.json").read_text())
    model, metrics = run_trainer(run_dir, training.yaml, arguments(run_dir, config, training), on_epoch, on_step)
    state = {f"body.{key}": value.detach().float().cpu().numpy() for key, value in model.state_dict().items()}
    figures = {**metrics, **counts, "epochs": float(training.epochs)}
    return TrainedDetector(state, {"yaml": training.yaml, "classes": len(LABELS)}, figures, run_dir)


def arguments(run_dir: Path, config: LungDetectorConfig, training: DetectorTraining) -> dict[str, Any]:
    """What Ultralytics' trainer is called with.

    The looks are in the pictures already. Mirroring and colour would undo what they mean: sides are known by place,
    and the channels are windows. Mosaics would make chests of four lungs.
    """
    still = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "degrees", "shear", "perspective", "flipud", "fliplr"), 0.0)
    still |= dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", "erasing", "bgr"), 0.0)
    return {
        **still,
        "imgsz": config.size,
        "epochs": training.epochs,
        "batch": training.batch,
        "lr0": training.rate,
        "lrf": 0.02,
        "optimizer": "AdamW",
        "cos_lr": True,
        "warmup_epochs": 1.0,
        "weight_decay": 5e-4,
        "translate": 0.05,
        "scale": 0.1,
        "patience": training.patience,
        "seed": training.seed,
        "deterministic": True,
        "device": training.torch_device,
        "pretrained": False,
        "amp": False,
        "workers": 0,
        "plots": True,
        "verbose": False,
        "cache": "ram",
        "project": str(run_dir.resolve()),
        "name": "ultralytics",
        "exist_ok": True,
    }


def write_pictures(
    studies: Iterable[Labelled],
    validation: Iterable[Labelled],
    folder: Path,
    config: LungDetectorConfig,
    training: DetectorTraining,
) -> dict[str, float]:
    """Write a YOLO data set and its `data.yaml`; returns how many pictures each part has.

    Raises:
        UsageError: A part has no pictures.
    """
    counts: dict[str, float] = {}
    for part, some in (("train", studies), ("val", validation)):
        for kind in ("images", "labels"):
            (folder / kind / part).mkdir(parents=True, exist_ok=True)
        number = 0
        for index, (study, sides) in enumerate(some):
            seed = training.seed * 100_003 + index
            made = (
                pictures(study, sides, training.looks, config, training.spread, seed, training.stride_mm)
                if part == "train"
                else plain(study, sides, config, training.stride_mm)
            )
            for picture in made:
                _write(picture, folder, part, f"{number:06d}", config)
                number += 1
        if not number:
            raise UsageError(
                f"the {part} studies gave no pictures to train the detector on; name studies that show slices"
            )
        counts[f"pictures_{part}"] = float(number)
    names = "\n".join(f"  {i}: {label}" for i, label in enumerate(LABELS))
    text = f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}\n"
    (folder / "data.yaml").write_text(text)
    return counts


def _write(picture: Picture, folder: Path, part: str, name: str, config: LungDetectorConfig) -> None:
    view = LungDetector(config=config).preprocess(picture.hu[None])
    # OpenCV writes the last channel first; Ultralytics turns it back.
    pixels = np.rint(view[::-1].transpose(1, 2, 0) * 255).astype(np.uint8)
    cv2.imwrite(str(folder / "images" / part / f"{name}.png"), pixels)
    size = float(config.size)
    lines = []
    for label, x0, y0, x1, y1 in picture.boxes:
        values = ((x0 + x1) / 2 / size, (y0 + y1) / 2 / size, (x1 - x0) / size, (y1 - y0) / size)
        lines.append(f"{label} " + " ".join(f"{v:.6f}" for v in values))
    (folder / "labels" / part / f"{name}.txt").write_text("\n".join(lines) + ("\n" if lines else ""))
