from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.bundle import Bundle, StageEntry, load, stage_classes, subset_name
from cascade.core.findings import Exam, Field
from cascade.datasets.case import Case
from cascade.pipeline import Cascade
from cascade.training.finish import finish, obstacle
from tests.small_bundle import small_bundle
from tests.strategies import chest


def exams(folder: Path, count: int) -> Path:
    """Chests, every other with an embolus."""
    folder.mkdir()
    for seed in range(count):
        study, truth = chest(seed=seed)
        box = truth.lungs.region if truth.lungs else None
        assert box is not None
        values = np.zeros(box.shape, np.uint8)
        if seed % 2:
            values[values.shape[0] // 2, 4:9, 4:9] = 255
        known = replace(truth, embolus=Field(values, box), exam=Exam("positive" if seed % 2 else "negative"))
        Case(f"{seed}", f"p{seed}", "real", study, known).save(folder / f"{seed}.case")
    return folder


def test_why_no_fusion_is_fitted_is_said() -> None:
    whole, held = Bundle(stages=tuple(StageEntry(stage, None, ()) for stage in stage_classes())), [Path("held")]
    part = replace(whole, stages=whole.stages[-1:])
    assert obstacle(whole, held, fusion=False) == "fusion is switched off"
    assert "--validation" in obstacle(whole, [], fusion=True)
    assert "lacks lung_detector, lung_filter, siamese" in obstacle(part, held, fusion=True)
    assert obstacle(whole, held, fusion=True) == ""


@pytest.mark.slow
def test_a_bundle_for_which_no_fusion_can_be_fitted_is_written_all_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    held = exams(tmp_path / "held", 1)
    bundle = finish(small_bundle(), tmp_path / "run", [held], say=said.append)
    assert len(said) == 1
    assert said[0].startswith("no fusion was fitted: ")
    assert not bundle.fusion
    assert load(tmp_path / "run").names == bundle.names


@pytest.mark.slow
def test_a_training_with_enough_exams_ends_in_a_cascade_that_decides(tmp_path: Path) -> None:
    said: list[str] = []
    held = exams(tmp_path / "held", 12)
    bundle = finish(small_bundle(), tmp_path / "run", [held], say=said.append)
    assert not said
    assert subset_name(bundle.names) in bundle.fusion
    cascade = Cascade.load(tmp_path / "run", "cpu", "torch")
    assert cascade(chest(seed=1)[0]).exam is not None
