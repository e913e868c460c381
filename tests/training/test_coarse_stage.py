"""The coarse stage is trained from data of any layout, as often as one likes, and its bundle runs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cascade.bundle import load
from cascade.bundle.weights import read_header
from cascade.cli.train.main import main
from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Field, Findings
from cascade.datasets import entries
from cascade.datasets.cache import FOLDER
from cascade.datasets.case import Case
from cascade.training.coarse_stage import CoarseTraining, train_coarse_stage
from cascade.training.packed import is_packed, packed, packed_files
from cascade.training.plan import Plan
from cascade.training.volume_evaluation import VolumeEvaluator
from cascade.training.volumes import VolumeCrops
from segmenters.coarse import CoarseConfig
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest
from tests.training.test_volumes import case

TINY = CoarseTraining(
    arguments={"widths": [8, 16], "blocks": [1, 1]},
    plan=Plan(
        steps=2,
        batch=1,
        schedule="constant",
        precision="fp32",
        evaluate_every=2,
        look_every=2,
        save_minutes=0,
        workers=0,
    ),
    crops=VolumeCrops(size=(16, 16, 16)),
    stage=CoarseConfig(block=(48, 48, 48), overlap=8),
)


def raw(name: str = "one") -> Case:
    """At the scanner's resolution."""
    return Case(name, name, "procedural", *chest([RIGHT_CLOT, LEFT_CLOT]))


def data_set(folder: Path, *cases: Case) -> Path:
    folder.mkdir()
    for one in cases:
        one.save(folder / f"{one.name}.case")
    return folder


def small(name: str) -> Case:
    return replace(case(), name=name, patient=name)


class Perfect(nn.Module):
    """Answers what the view's brightness says: the truth, where it was painted into the HU."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(40.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.scale * (x[:, :1] - 0.5)
        return torch.cat([logits, logits], dim=1)


def painted(one: Case) -> Case:
    """A case whose clots are the brightest there is, and all else air."""
    assert one.truth.embolus is not None
    hu = np.where(one.truth.embolus.values >= 128, 3000, -1000).astype(np.int16)
    return replace(one, study=replace(one.study, hu=hu))


def test_what_is_packed_already_is_taken_and_all_else_is_packed_onto_the_stages_lattice(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", raw("a-raw"), small("b-small"))
    first, second = packed_files(entries(data), 2.0, tmp_path / "cases")
    assert second == data / "b-small.case"
    assert first.parent == tmp_path / "cases"
    assert Case.load(first).study.grid == packed(raw("a-raw")).study.grid
    assert is_packed(first, 2.0)
    coarser, also = packed_files(entries(data), 3.0, tmp_path / "cases")
    assert is_packed(coarser, 3.0)
    assert is_packed(also, 3.0)
    assert {coarser.parent, also.parent} == {tmp_path / "cases"}


def test_data_sets_are_packed_into_one_that_is_taken_as_it_is(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", raw("one"), small("two"))
    more = data_set(tmp_path / "more", replace(raw("one"), patient="another"))
    out = tmp_path / "packed"
    assert main(["pack", "--data", str(data), str(more), "-o", str(out)]) == 0
    found = list(entries(out))
    assert [(one.name, one.patient) for one in found] == [("one-2", "another"), ("one", "one"), ("two", "two")]
    assert packed_files(found, 2.0, tmp_path / "cases") == [one.files[0] for one in found]
    assert Case.load(out / "one.case").truth == packed(raw("one")).truth
    assert Case.load(out / "two.case").truth == small("two").truth
    assert main(["pack", "--data", str(data), "-o", str(out)]) == 2
    assert main(["pack", "--data", str(data), "-o", str(tmp_path / "far"), "--step-mm", "0"]) == 2
    assert not (tmp_path / "far").exists()


def test_packed_cases_are_made_once_and_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_set(tmp_path / "data", raw())
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    (first,) = packed_files(entries(data), 2.0, tmp_path / "cases")
    (cached,) = (tmp_path / "cache").glob("*.case")
    assert cached.samefile(first), "no room is taken twice"
    cached.unlink()
    assert Case.load(first).name == "one", "a run keeps its cases where the cache makes room"
    assert packed_files(entries(data), 2.0, tmp_path / "cases") == [first]
    assert not cached.exists()


def test_the_stage_is_trained_taken_up_with_fresh_studies_and_runs(tmp_path: Path) -> None:
    data, held = data_set(tmp_path / "data", raw(), small("two")), data_set(tmp_path / "held", small("three"))
    bundle = train_coarse_stage([data], [held], tmp_path / "run", TINY)
    assert bundle.names == ("coarse",)
    assert (tmp_path / "run" / "bundle" / "manifest.json").is_file()
    (figures,) = (entry.networks[0].figures for entry in bundle.stages)
    assert {"score", "threshold", "clots_touched", "false_positives", "false_per_negative"} <= figures.keys()
    assert (tmp_path / "run" / "predictions" / "0.png").is_file()
    assert read_header((tmp_path / "run" / "weights.safetensors").read_bytes())[0] == "attention_resunet_3d"
    fresh = data_set(tmp_path / "fresh", small("four"))
    more = replace(TINY, plan=replace(TINY.plan, steps=4))
    train_coarse_stage([fresh], [held], tmp_path / "run", more, resume=True)
    with (tmp_path / "run" / "steps.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "1", "2", "3"]
    with (tmp_path / "run" / "cases.csv").open() as file:
        assert [row["case"] for row in csv.DictReader(file)] == ["one", "two", "four"]
    late = data_set(tmp_path / "late", small("two"))
    with pytest.raises(UsageError, match=r"E_SPLIT.*'two'"):
        train_coarse_stage([fresh], [late], tmp_path / "run", more, resume=True)
    (stage,) = load(tmp_path / "run").open("torch", "cpu")
    answer = stage(small("five").study, Findings(small("five").study.grid))
    assert answer.embolus is not None


def test_a_start_that_was_stopped_is_taken_up_and_a_patient_on_both_sides_refused(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", raw())
    with pytest.raises(UsageError, match="E_SPLIT"):
        train_coarse_stage([data], [data], tmp_path / "run", TINY)
    assert not (tmp_path / "run").exists()
    (made,) = packed_files(entries(data), 2.0, tmp_path / "run" / "cases")
    before = made.stat().st_mtime_ns
    train_coarse_stage([data], [], tmp_path / "run", TINY)
    assert made.stat().st_mtime_ns == before
    silent = data_set(tmp_path / "silent", replace(small("x"), truth=Findings(small("x").study.grid)))
    with pytest.raises(InputError, match="E_NO_MASK"):
        train_coarse_stage([silent], [], tmp_path / "other", TINY)


def test_another_member_joins_on_the_same_lattice_alone(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", small("one"))
    first = train_coarse_stage([data], [], tmp_path / "first", TINY)
    more = replace(TINY, add_member=True, plan=replace(TINY.plan, seed=1))
    both = train_coarse_stage([data], [], tmp_path / "both", more, base=first)
    assert [len(entry.networks) for entry in both.stages] == [2]
    alone = train_coarse_stage([data], [], tmp_path / "alone", TINY, base=first)
    assert [len(entry.networks) for entry in alone.stages] == [1]
    other = replace(more, stage=replace(TINY.stage, step_mm=3.0))
    with pytest.raises(UsageError, match=r"E_STAGE.*stage.step_mm=2.0 and would see 3.0"):
        train_coarse_stage([data], [], tmp_path / "other", other, base=first)


def test_a_perfect_network_has_the_best_score_and_a_blind_one_none(tmp_path: Path) -> None:
    file = tmp_path / "one.case"
    painted(small("one")).save(file)
    judge = VolumeEvaluator([file], TINY.stage)
    best = judge(Perfect().eval()).figures
    assert best["score"] > 0.9
    assert best["dice"] > 0.9
    assert (best["clots_touched"], best["false_positives"]) == (1.0, 0.0)
    blind = Perfect()
    nn.init.zeros_(blind.scale)
    assert judge(blind.eval()).figures["score"] < 0.2


def test_the_examples_are_slices_with_embolus_beside_their_truth(tmp_path: Path) -> None:
    one = painted(small("one"))
    one.save(tmp_path / "one.case")
    replace(one, name="unknown", truth=replace(one.truth, embolus=None)).save(tmp_path / "unknown.case")
    judge = VolumeEvaluator([tmp_path / "unknown.case", tmp_path / "one.case"], TINY.stage)
    (example,) = judge.examples(Perfect().eval())
    assert example.title.startswith("one, slice ")
    assert example.truth is not None
    assert example.answer is not None
    assert example.truth.max() == 1
    assert ((example.truth >= 0.5) == (example.answer >= 0.5)).all()
    assert example.view[example.truth >= 0.5].min() > example.view[example.truth < 0.5].max()


def test_components_that_touch_no_clot_are_false_from_forty_cubic_millimetres_on(tmp_path: Path) -> None:
    one = painted(small("one"))
    assert one.truth.embolus is not None
    none = Field(np.zeros_like(one.truth.embolus.values), one.truth.embolus.box)
    negative = replace(one, truth=replace(one.truth, embolus=none, labels=None))
    negative.save(tmp_path / "one.case")
    replace(one, truth=replace(one.truth, embolus=None)).save(tmp_path / "unknown.case")
    judge = VolumeEvaluator([tmp_path / "one.case", tmp_path / "unknown.case"], TINY.stage)
    figures = judge(Perfect().eval()).figures
    assert figures["false_positives"] == figures["false_per_negative"] == 2.0
    assert figures["score"] == -2.0


WORDS = [
    *("arguments={widths: [8, 16], blocks: [1, 1]}", "crops.size=[16,16,16]", "stage.block=[48,48,48]"),
    *("stage.overlap=8", "plan.batch=1", "plan.workers=0", "plan.precision=fp32", "plan.look_every=1"),
]


def test_the_command_trains_it_minute_by_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = data_set(tmp_path / "data", small("one")), str(tmp_path / "run")
    clock = ["--minutes", "1e-9"]
    assert main(["segmenter", *WORDS, "--stage", "coarse", "--data", str(data), "-o", run, *clock]) == 0
    for _ in range(2):
        assert main(["segmenter", "--resume", run, *clock]) == 0
    with (tmp_path / "run" / "steps.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    capsys.readouterr()
    assert main(["segmenter", "--resume", run, "--stage", "embolus"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a run of the stage coarse, not of embolus; resume it without --stage" in line
    assert main(["segmenter", "--stage", "coarse", "--print-config"]) == 0
    assert "step_mm: 2.0" in capsys.readouterr().out
    assert main(["segmenter", "--stage", "coarze", "--print-config"]) == 2
    assert "did you mean 'coarse'" in capsys.readouterr().err


def test_start_weights_are_those_that_a_bundle_or_a_mean_holds(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", small("one"))
    train_coarse_stage([data], [], tmp_path / "run", TINY)
    start = replace(TINY, start=tmp_path / "run" / "weights.safetensors", plan=replace(TINY.plan, learning_rate=1e-12))
    again = train_coarse_stage([data], [], tmp_path / "again", start)
    ours, theirs = (
        one.networks[0].module("coarse").state_dict() for one in (*again.stages, *load(tmp_path / "run").stages)
    )
    assert all(torch.allclose(value, theirs[name], atol=1e-3) for name, value in ours.items())
