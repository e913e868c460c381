"""`cascade.detect`: the detector of a bundle on single images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cascade
from cascade.bundle import save
from cascade.core.errors import BundleError, UsageError
from cascade.detection import Detector
from tests.small_bundle import small_bundle

IMAGE = np.random.default_rng(0).normal(-300, 400, (90, 110)).astype(np.int16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    save(small_bundle("lung_detector"), folder)
    return folder


def test_one_image_gives_a_list_and_many_give_a_list_of_lists(bundle: Path) -> None:
    # Random weights see nothing surely, but always something.
    one = cascade.detect(IMAGE, bundle=bundle, threshold=0.0, device="cpu")
    many = cascade.detect([IMAGE, IMAGE[:70]], bundle=bundle, threshold=0.0, device="cpu")
    assert len(one) > 0
    assert len(many) == 2
    assert many[0] == one
    for detection in one:
        assert detection.label in ("right lung", "left lung")
        assert 0 <= detection.score <= 1
        x0, y0, x1, y1 = detection.box
        assert 0 <= x0 < x1 <= IMAGE.shape[1]
        assert 0 <= y0 < y1 <= IMAGE.shape[0]


def test_a_detector_that_stays_open_says_the_same(bundle: Path) -> None:
    detector = Detector(bundle, "cpu")
    assert detector(IMAGE, threshold=0.0) == cascade.detect(IMAGE, bundle=bundle, threshold=0.0, device="cpu")


def test_a_device_that_is_not_there_is_refused(bundle: Path) -> None:
    with pytest.raises(UsageError, match="E_DEVICE"):
        cascade.detect(IMAGE, bundle=bundle, device="gpu:99")


def test_a_bundle_without_a_detector_is_refused(tmp_path: Path) -> None:
    save(small_bundle("siamese"), tmp_path)
    with pytest.raises(BundleError, match="no lung detector"):
        Detector(tmp_path)
