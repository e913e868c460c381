"""The law of training: a run that is killed and resumed ends as one that was not. For every stage, by its command."""

from __future__ import annotations

import csv
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cascade.cli.train.main import main
from cascade.datasets.case import Case
from tests.classifiers.chest import chest
from tests.classifiers.chest import truth as chest_truth
from tests.strategies import chest as whole_chest
from tests.training.test_segmenter_training import a_case

SHORT = ["plan.batch=2", "plan.evaluate_every=20", "plan.look_every=7", "plan.save_minutes=0", "plan.workers=0"]
STAGES = {
    "segmenter": [
        *("segmenter", "--net", "tiny_attention_resunet", "--steps", "40"),
        *("arguments={width: 4, levels: 2}", "crops.size=[48,48]", "stage.tile=[64,80]"),
        *(
            "imbalance.replicate=0.5",
            "imbalance.mosaic=0.5",
            "loss.terms={dice: 1, focal: 1}",
            "plan.schedule=onecycle",
        ),
    ],
    "lung-filter": [
        *("classifier", "--stage", "lung-filter", "--imagenet", "no", "--steps", "40"),
        *("arguments={name: test_resnet}", "config.size=64", "config.pixel_mm=6", "plan.l1_lambda=1e-6"),
    ],
    "siamese": [
        *("classifier", "--stage", "siamese", "--steps", "40", "plan.patience=2"),
        *("arguments={width: 4}", "config.size=64", "config.pixel_mm=6", "loss.terms={symmetric: 1}"),
    ],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of one order in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def in_this_process(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    # Settings stand before the options, which take all that follows.
    command, *rest = arguments
    settings = [one for one in rest if "=" in one]
    assert main([command, "-q", *settings, *(one for one in rest if one not in settings)]) == 0


def in_another(arguments: list[str]) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=in_this_process, args=(arguments,))
    process.start()
    return process


def waited_for(path: Path, process: BaseProcess) -> None:
    while not path.exists():
        assert process.is_alive()
        time.sleep(0.005)


def told(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        here = ("data_seconds", "seconds", "minutes", "data_share", "rss_mb")
        return [{k: v for k, v in row.items() if k not in here} for row in csv.DictReader(file)]


def killed_and_resumed_ends_in_the_same(stage: str, folder: Path, kills: int) -> None:
    for name in ("learn", "held"):
        (folder / name).mkdir()
        study = chest()
        case = a_case(name) if stage == "segmenter" else Case(name, name, "real", study, chest_truth(study))
        case.save(folder / name / f"{name}.case")
    command = [*STAGES[stage], *SHORT, "--data", str(folder / "learn"), "--validation", str(folder / "held")]
    began = time.monotonic()
    in_this_process([*command, "-o", str(folder / "whole")])
    usual = time.monotonic() - began
    rng = np.random.default_rng(kills)
    process = in_another([*command, "-o", str(folder / "killed")])
    waited_for(folder / "killed" / "checkpoints" / "state.safetensors", process)
    again = [command[0], *STAGES[stage][1:3], "--resume", str(folder / "killed")]
    for left in reversed(range(kills)):
        process.join(rng.uniform(0, usual / kills))
        process.kill()
        process.join()
        if left:
            process = in_another(again)
            time.sleep(rng.uniform(4, 8))  # for its imports
    if not (folder / "killed" / "bundle" / "manifest.json").exists():
        in_this_process(again)
    for file in ("state.safetensors", *(f"{name}/weights.safetensors" for name in ("best", "best_loss", "best_f1"))):
        whole, killed = (load_file(folder / name / "checkpoints" / file) for name in ("whole", "killed"))
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
    for table in ("steps.csv", "results.csv", *(["scans.csv"] if stage == "segmenter" else [])):
        assert told(folder / "whole" / table) == told(folder / "killed" / table)
    for picture in ("predictions/0.png", "plots/roc.png", "plots/reliability.png", "results.png"):
        assert (folder / "killed" / picture).is_file()
    (blob,) = (folder / "whole" / "bundle").glob("*.safetensors")
    whole, killed = (load_file(folder / name / "bundle" / blob.name) for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_that_is_killed_and_resumed_ends_in_the_same_bundle(stage: str, tmp_path: Path) -> None:
    killed_and_resumed_ends_in_the_same(stage, tmp_path, kills=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stage", STAGES)
def test_a_training_that_is_killed_ten_times_ends_in_the_same_bundle(stage: str, tmp_path: Path) -> None:
    killed_and_resumed_ends_in_the_same(stage, tmp_path, kills=10)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_detector_that_is_killed_and_resumed_is_as_good_as_one_that_was_not(tmp_path: Path) -> None:
    for seed, name in enumerate(("learn", "held")):
        (tmp_path / name).mkdir()
        study, truth = whole_chest(seed=seed)
        Case(name, name, "real", study, truth).save(tmp_path / name / f"{name}.case")
    small = ["config.size=64", "config.pixel_mm=8", "training.looks=8", "training.stride_mm=10", "--epochs", "40"]
    command = ["detector", *small, "--batch-size", "8"]
    command += ["--data", str(tmp_path / "learn"), "--validation", str(tmp_path / "held")]
    in_this_process([*command, "-o", str(tmp_path / "whole")])
    rng = np.random.default_rng(0)
    process = in_another([*command, "-o", str(tmp_path / "killed")])
    killed = tmp_path / "killed"
    for moment in (killed / "pictures" / "counts.json", *[killed / "ultralytics" / "weights" / "kept.pt"] * 2):
        waited_for(moment, process)
        process.join(rng.uniform(0, 25))
        assert process.is_alive()
        process.kill()
        process.join()
        process = in_another(["detector", "--resume", str(killed)])
    process.join()
    assert process.exitcode == 0
    ends = [told(tmp_path / name / "results.csv") for name in ("whole", "killed")]
    assert [row["epoch"] for row in ends[0]] == [row["epoch"] for row in ends[1]]
    steps = [[row["step"] for row in told(tmp_path / name / "steps.csv")] for name in ("whole", "killed")]
    assert steps[0] == steps[1]
    best = [max(float(row["mAP50(B)"]) for row in rows) for rows in ends]
    assert best[0] > 0.5
    assert abs(best[0] - best[1]) <= 0.02
