"""The lung detector's stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.anatomy.lungs import find_lungs
from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.core.grid import Box
from cascade.core.study import Study
from cascade.reading import read
from detectors import LungDetector, LungDetectorConfig
from detectors.region import around
from tests.strategies import chest, cropped

SILENT = {"yolo": lambda batch: np.zeros((len(batch), 6, 10), np.float32)}
"""A network that sees nothing."""


def told(study: Study, truth: Findings, config: LungDetectorConfig | None = None) -> Findings:
    """What the stage makes of a perfect network."""
    stage = LungDetector(config=config)
    empty = Findings(study.grid)
    return stage.postprocess(study, empty, [(f, stage.target(study, truth, f)) for f in stage.patches(study, empty)])


def test_a_perfect_network_makes_a_perfect_stage() -> None:
    study, truth = chest(spacing=(10.0, 1.3, 1.3))
    found = told(study, truth)
    assert truth.lungs is not None
    assert found.lungs is not None
    assert np.array_equal(np.isnan(found.lungs.boxes), np.isnan(truth.lungs.boxes))
    assert np.nanmax(np.abs(found.lungs.boxes - truth.lungs.boxes)) < 1e-2


def test_boxes_between_the_slices_looked_at_are_never_too_small() -> None:
    study, truth = chest(spacing=(2.0, 2.0, 2.0))
    found = told(study, truth)
    assert truth.lungs is not None
    assert found.lungs is not None
    seen = np.isfinite(truth.lungs.boxes[:, 0, 0])
    assert (found.lungs.boxes[seen][..., :2] <= truth.lungs.boxes[seen][..., :2] + 1e-3).all()
    assert (found.lungs.boxes[seen][..., 2:] >= truth.lungs.boxes[seen][..., 2:] - 1e-3).all()


def test_the_network_alone_can_find_lungs_that_the_threshold_cannot() -> None:
    study, truth = chest()
    opaque = Study(np.maximum(study.hu, np.where(find_lungs(study).mask, 20, -1024)).astype(np.int16), study.grid)
    assert not find_lungs(opaque).found
    found = told(opaque, truth)
    assert found.lungs is not None
    assert found.lungs.region is not None
    assert [note.code for note in found.warnings] == ["W_LUNGS_DISAGREE"]


def test_the_threshold_alone_is_used_where_the_network_sees_nothing() -> None:
    study, _ = chest()
    found = LungDetector(SILENT)(study, Findings(study.grid))
    assert found.lungs is not None
    assert np.array_equal(found.lungs.boxes, find_lungs(study).boxes, equal_nan=True)
    assert [note.code for note in found.warnings] == ["W_LUNGS_DISAGREE"]


def test_no_lungs_give_no_region_and_no_word() -> None:
    study, _ = chest(lungs=False)
    found = LungDetector(SILENT)(study, Findings(study.grid))
    assert found.lungs is not None
    assert found.lungs.region is None
    assert found.warnings == ()


def test_the_region_holds_both_lungs_and_is_little_larger() -> None:
    study, truth = chest()
    found, reference = told(study, truth), find_lungs(study)
    assert found.lungs is not None
    region, tight = found.lungs.region, around(reference.boxes)
    assert region is not None
    assert tight is not None
    assert reference.mask[region.slices].sum() == reference.mask.sum()
    assert region.shape[1] * region.shape[2] <= 1.35 * tight.shape[1] * tight.shape[2]


def test_frames_do_not_move_when_air_is_cropped_away() -> None:
    study, _ = chest(spacing=(3.0, 1.7, 1.7))
    box = Box(0, study.hu.shape[0], 7, study.hu.shape[1] - 3, 4, study.hu.shape[2] - 9)
    part = cropped(study, box)
    stage, empty = LungDetector(), Findings(study.grid)
    whole, small = stage.patches(study, empty), stage.patches(part, Findings(part.grid))
    assert len(whole) == len(small)
    assert np.allclose([(f.z, f.y, f.x) for f in whole], [(f.z, f.y + box.y0, f.x + box.x0) for f in small])


def test_cropping_air_does_not_move_the_region() -> None:
    study, truth = chest(spacing=(3.0, 1.7, 1.7))
    box = Box(0, study.hu.shape[0], 7, study.hu.shape[1] - 3, 4, study.hu.shape[2] - 9)
    part = cropped(study, box)
    assert truth.lungs is not None
    shift = np.array([box.x0, box.y0, box.x0, box.y0], np.float32)
    there = Findings(part.grid, lungs=replace(truth.lungs, boxes=truth.lungs.boxes - shift))
    whole, small = told(study, truth).lungs, told(part, there).lungs
    assert whole is not None
    assert small is not None
    r = small.region
    assert r is not None
    assert whole.region == Box(r.z0, r.z1, r.y0 + box.y0, r.y1 + box.y0, r.x0 + box.x0, r.x1 + box.x0)


def test_an_unknown_truth_is_no_target() -> None:
    study, _ = chest()
    stage, empty = LungDetector(), Findings(study.grid)
    assert np.isnan(stage.target(study, empty, stage.patches(study, empty)[0])).all()


def test_a_stage_without_networks_says_so() -> None:
    with pytest.raises(UsageError, match="without networks"):
        LungDetector().predict(np.zeros((1, 3, 256, 256), np.float32))


@pytest.mark.data
def test_a_head_has_no_region(shared: Path) -> None:
    study = read(shared / "dicom" / "cptac-head-vault")
    found = LungDetector(SILENT)(study, Findings(study.grid))
    assert found.lungs is not None
    assert found.lungs.region is None
