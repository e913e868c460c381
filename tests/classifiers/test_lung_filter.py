from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.core.findings import Findings
from cascade.core.grid import Box
from classifiers import LungFilter
from classifiers.lung_filter import LungFilterConfig
from tests.classifiers.chest import chest, cropped, net_of, single_slice, truth


def dark_share(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits that follow the share of dark points in the lung window, and the brightness in the pe window."""
    lung = (batch[:, 0, 40:150, 40:150] < 0.5).mean(axis=(1, 2))
    return np.stack([20 * (lung - 0.2), batch[:, 1].mean(axis=(1, 2))], axis=1).astype(np.float32)


def perfect(stage: LungFilter) -> Findings:
    study = chest()
    known = truth(study)
    return stage.postprocess(
        study, Findings(study.grid), [(f, stage.target(study, known, f)) for f in stage.patches(study, known)]
    )


def test_a_perfect_network_gives_the_truth_back() -> None:
    found, known = perfect(LungFilter()).slices, truth(chest()).slices
    assert found is not None
    assert known is not None
    assert np.array_equal(found.lung, known.lung)
    assert np.array_equal(found.pe["lung_filter"], known.suspicion)
    assert list(found.pe) == ["lung_filter"]


def test_a_perfect_network_on_every_second_slice_errs_at_the_edges_only() -> None:
    found, known = perfect(LungFilter(config=LungFilterConfig(stride_mm=5.0))).slices, truth(chest()).slices
    assert found is not None
    assert known is not None
    assert np.isfinite(found.lung).all()
    wrong = np.flatnonzero(np.abs(found.lung - known.lung) > 1e-6)
    assert set(wrong) <= {5, 6, 17, 18}


def test_all_slices_are_looked_at_by_default() -> None:
    study = chest()
    assert [f.z for f in LungFilter().patches(study, Findings(study.grid))] == list(range(24))


def test_a_single_slice_is_a_study() -> None:
    study = single_slice()
    found = LungFilter(net_of(dark_share))(study, Findings(study.grid)).slices
    assert found is not None
    assert found.lung[0] > 0.5


def test_what_the_truth_does_not_know_is_not_trained_on() -> None:
    study, stage = chest(), LungFilter()
    patch = stage.patches(study, Findings(study.grid))[0]
    assert np.isnan(stage.target(study, Findings(study.grid), patch)).all()


def test_air_cropped_away_gives_the_same_pictures() -> None:
    study, stage = chest(), LungFilter()
    smaller = cropped(study, Box(0, 24, 7, 75, 5, 96))
    views = [np.stack([s.view for s in stage.prepare(one, Findings(one.grid))]) for one in (study, smaller)]
    assert np.abs(views[0] - views[1]).max() < 1e-4


def test_order_and_company_change_no_answer() -> None:
    stage = LungFilter(net_of(dark_share))
    study = chest()
    batch = np.stack([s.view for s in stage.prepare(study, Findings(study.grid))][:8])
    order = np.random.default_rng(0).permutation(8)
    assert np.array_equal(stage.predict(batch)[order], stage.predict(batch[order]))


def test_slices_with_lung_are_found_and_the_rest_are_not() -> None:
    study = chest()
    found = LungFilter(net_of(dark_share))(study, Findings(study.grid)).slices
    assert found is not None
    assert (found.lung > 0.5).tolist() == [6 <= z < 18 for z in range(24)]


def test_the_first_answer_is_lung_and_the_second_pe() -> None:
    study = chest()
    stage = LungFilter(net_of(lambda b: np.repeat(np.array([[9, -9]], np.float32), len(b), axis=0)))
    found = stage(study, Findings(study.grid)).slices
    assert found is not None
    assert found.lung == pytest.approx(1, abs=1e-3)
    assert found.pe["lung_filter"] == pytest.approx(0, abs=1e-3)
