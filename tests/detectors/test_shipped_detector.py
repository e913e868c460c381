"""The shipped detector on real CT that it never saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascade.anatomy.lungs import find_lungs
from cascade.core.errors import BundleError
from cascade.core.findings import Findings
from cascade.detection import Detector
from cascade.reading import read
from detectors.region import around

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def detector() -> Detector:
    try:
        return Detector(device="cpu")
    except BundleError as error:
        pytest.skip(f"needs the default bundle with a lung detector: {error}")


@pytest.mark.parametrize(
    "name", ["acrin-nsclc-042", "covid-ct-md-normal001", "lung1-003-contrast", "rider-pilot-ctpa-bases"]
)
def test_the_region_of_a_real_chest_holds_the_lungs_and_is_little_larger(
    shared: Path, detector: Detector, name: str
) -> None:
    study = read(shared / "dicom" / name)
    reference = find_lungs(study)
    lungs = detector.stage(study, Findings(study.grid)).lungs
    tight = around(reference.boxes)
    assert min(reference.right_ml, reference.left_ml) >= 50
    assert lungs is not None
    assert lungs.region is not None
    assert tight is not None
    assert reference.mask[lungs.region.slices].sum() >= 0.99 * reference.mask.sum()
    assert lungs.region.shape[1] * lungs.region.shape[2] <= 1.35 * tight.shape[1] * tight.shape[2]


def test_a_head_has_no_lungs(shared: Path, detector: Detector) -> None:
    study = read(shared / "dicom" / "cptac-head-vault")
    lungs = detector.stage(study, Findings(study.grid)).lungs
    assert lungs is not None
    assert lungs.region is None
