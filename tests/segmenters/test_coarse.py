"""The coarse segmentation stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.core.findings import Findings, Lungs
from cascade.core.grid import Box
from cascade.core.study import Study
from segmenters.coarse import Block, CoarseConfig, CoarseEnsemble
from tests.agreement import agreement, differences
from tests.segmenters.test_embolus_stage import study_with_ball
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest, cropped, moved, stored

SMALL = CoarseConfig(block=(16, 24, 32), overlap=8)


class Bright:
    """A network that takes what is dark in the window for blood as embolus, and what is bright as artery."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        blood = batch[:, 0]
        return np.stack([20 * (0.45 - blood), 20 * (blood - 0.5)], axis=1)


def perfect(stage: CoarseEnsemble, study: Study, truth: Findings) -> Findings:
    before = Findings(study.grid, lungs=truth.lungs)
    return stage.postprocess(study, before, ((f, stage.target(study, truth, f)) for f in stage.patches(study, before)))


@pytest.mark.parametrize("spacing", [(0.7, 0.6, 0.6), (1.5, 0.8, 0.8), (3.0, 0.95, 0.95)])
def test_a_perfect_network_gives_the_mask_back(spacing: tuple[float, float, float]) -> None:
    study, truth = study_with_ball(spacing)
    found, known = perfect(CoarseEnsemble(config=SMALL), study, truth).mask(), truth.mask()
    assert 2 * (found & known).sum() / (found.sum() + known.sum()) > 0.93


def test_a_perfect_network_makes_a_perfect_stage_of_a_chest() -> None:
    study, truth = chest([RIGHT_CLOT, LEFT_CLOT])
    scores = agreement(replace(perfect(CoarseEnsemble(), study, truth), slices=truth.slices), truth)
    assert scores["embolus"] >= 0.85
    assert scores["arteries"] >= 0.9


def test_blocks_cover_the_region_whatever_its_size() -> None:
    study, truth = study_with_ball()
    stage = CoarseEnsemble(config=replace(SMALL, block=(8, 16, 16), overlap=4))
    ones = ((patch, np.ones((3, *patch.lattice.shape), np.float32)) for patch in stage.patches(study, truth))
    found = stage.postprocess(study, Findings(study.grid, lungs=truth.lungs), ones)
    assert found.embolus is not None
    assert (found.embolus.values == 255).all()


def test_without_lungs_nothing_is_searched() -> None:
    study, _ = study_with_ball()
    none = Findings(study.grid, lungs=Lungs(np.full((30, 2, 4), np.nan, np.float32), None))
    assert CoarseEnsemble(config=SMALL)(study, none).embolus is None


def test_what_is_unknown_is_unknown_in_the_target() -> None:
    study, truth = study_with_ball()
    stage = CoarseEnsemble(config=SMALL)
    target = stage.target(study, replace(truth, arteries=None), stage.patches(study, truth)[0])
    assert np.isnan(target[1]).all()
    assert np.isfinite(target[0]).all()


def test_the_patient_does_not_move() -> None:
    study, truth = chest([RIGHT_CLOT, LEFT_CLOT])
    stage = CoarseEnsemble({"bright": Bright()}, SMALL)
    before = Findings(study.grid, lungs=truth.lungs)
    known = stage(study, before)
    for order in (((2, 1, 0), (True, False, True)), ((1, 0, 2), (False, True, True))):
        other = stored(study, *order)
        assert max(differences(stage(other, replace(before, grid=other.grid)), known).values()) <= 1e-5
    inner = Box(0, study.grid.shape[0], 7, study.grid.shape[1] - 5, 3, study.grid.shape[2] - 4)
    part = cropped(study, inner)
    far = differences(stage(part, moved(before, inner, part.grid)), moved(known, inner, part.grid))
    assert max(far.values()) <= 0.02


def test_members_are_averaged_in_log_odds() -> None:
    def says(logit: float) -> object:
        return lambda batch: np.full((len(batch), 2, *batch.shape[2:]), logit, np.float32)

    stage = CoarseEnsemble({"sure": says(6.0), "unsure": says(-2.0)}, SMALL)  # type: ignore[dict-item]
    answer = stage.predict(np.zeros((1, 2, 16, 24, 32), np.float32))
    assert answer.shape == (1, 3, 16, 24, 32)
    assert np.allclose(answer[:, :2], 1 / (1 + np.exp(-2.0)))
    assert (answer[:, 2] > 0.4).all()


def test_a_block_lies_on_a_slice_of_the_study() -> None:
    study, _ = chest(spacing=(6.0, 6.0, 6.0))
    patches = CoarseEnsemble(config=SMALL).patches(study, Findings(study.grid))
    assert all(isinstance(patch, Block) and 0 <= patch.z < study.grid.shape[0] for patch in patches)


@pytest.mark.parametrize("wrong", [{"step_mm": 0.0}, {"block": (16, 20, 16)}, {"overlap": 16, "block": (16, 16, 16)}])
def test_a_config_that_cuts_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        CoarseConfig(**wrong)  # type: ignore[arg-type]
