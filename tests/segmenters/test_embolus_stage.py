from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cascade.core.findings import Field, Findings, Lungs
from cascade.core.grid import Box, Grid
from cascade.core.registry import build
from cascade.core.study import Study
from segmenters import NETWORKS
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble

SMALL = EmbolusConfig(tile=(32, 48), overlap=8)


def study_with_ball(spacing: tuple[float, float, float] = (1.5, 0.8, 0.8)) -> tuple[Study, Findings]:
    grid = Grid.simple((30, 70, 90), spacing, (-30.0, -25.0, 12.0))
    z, y, x = np.indices(grid.shape)
    distance = np.sqrt(((z - 14) * spacing[0]) ** 2 + ((y - 33) * spacing[1]) ** 2 + ((x - 50) * spacing[2]) ** 2)
    ball = distance < 9
    whole = Box(0, 30, 0, 70, 0, 90)
    field = Field((ball * 255).astype(np.uint8), whole)
    region = Lungs(np.full((30, 2, 4), np.nan, np.float32), Box(3, 27, 8, 66, 10, 84))
    return Study(np.where(ball, 60, 300).astype(np.int16), grid), Findings(
        grid, lungs=region, embolus=field, arteries=field
    )


def perfect(stage: EmbolusEnsemble, study: Study, truth: Findings) -> Findings:
    before = Findings(study.grid, lungs=truth.lungs)
    return stage.postprocess(study, before, ((f, stage.target(study, truth, f)) for f in stage.patches(study, before)))


@pytest.mark.parametrize("spacing", [(0.7, 0.6, 0.6), (1.5, 0.8, 0.8), (3.0, 0.95, 0.95)])
def test_a_perfect_network_gives_the_mask_back(spacing: tuple[float, float, float]) -> None:
    study, truth = study_with_ball(spacing)
    found = perfect(EmbolusEnsemble(config=SMALL), study, truth).mask()
    known = truth.mask()
    assert 2 * (found & known).sum() / (found.sum() + known.sum()) > 0.93


def test_tiles_cover_the_region_whatever_its_size() -> None:
    study, truth = study_with_ball()
    stage = EmbolusEnsemble(config=replace(SMALL, tile=(16, 16), overlap=4))
    ones = ((patch, np.ones((3, *patch.size), np.float32)) for patch in stage.patches(study, truth))
    found = stage.postprocess(study, Findings(study.grid, lungs=truth.lungs), ones)
    assert found.embolus is not None
    assert (found.embolus.values == 255).all()


def test_without_lungs_nothing_is_searched() -> None:
    study, _ = study_with_ball()
    none = Findings(study.grid, lungs=Lungs(np.full((30, 2, 4), np.nan, np.float32), None))
    after = EmbolusEnsemble(config=SMALL)(study, none)
    assert after.embolus is None


def test_where_lungs_are_unknown_the_whole_study_is_searched() -> None:
    study, _ = study_with_ball()
    assert EmbolusEnsemble(config=SMALL).region(study, Findings(study.grid)) == Box(0, 30, 0, 70, 0, 90)


def test_an_unknown_artery_is_a_target_that_is_not_a_number() -> None:
    study, truth = study_with_ball()
    stage = EmbolusEnsemble(config=SMALL)
    target = stage.target(study, replace(truth, arteries=None), stage.patches(study, truth)[0])
    assert np.isnan(target[1]).all()
    assert np.isfinite(target[0]).all()


def test_members_are_averaged_as_probabilities_and_their_spread_is_kept() -> None:
    def constant(p: float):  # type: ignore[no-untyped-def]  # a network of one line
        logit = np.float32(np.log(p / (1 - p)))
        return lambda batch: np.full((len(batch), 2, *batch.shape[2:]), logit, np.float32)

    stage = EmbolusEnsemble({"a": constant(0.9), "b": constant(0.1)}, SMALL)
    answer = stage.predict(np.zeros((1, 7, 16, 16), np.float32))[0]
    assert answer[0] == pytest.approx(0.5, abs=1e-5)
    assert answer[2] == pytest.approx(0.4, abs=1e-5)


@pytest.mark.parametrize("name", ["attention_resunet", "tiny_attention_resunet", "smp"])
def test_networks_keep_the_size_of_their_input(name: str) -> None:
    network = build(NETWORKS, name, {}).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 7, 64, 96)).shape == (1, 2, 64, 96)


def test_any_network_of_segmentation_models_pytorch_goes_by_name() -> None:
    network = build(NETWORKS, "smp", {"architecture": "fpn", "encoder": "mobilenet_v2"}).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 7, 64, 64)).shape == (1, 2, 64, 64)
