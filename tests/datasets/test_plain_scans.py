"""Plain scans say nothing of embolism until somebody says it for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascade.bench.accuracy import stored
from cascade.bundle import save
from cascade.cli.train.classifier import Classifier
from cascade.cli.train.main import main
from cascade.cli.train.segmenter import Segmenter
from cascade.core.errors import InputError
from cascade.datasets import entries, open_cases
from cascade.fusion.fit import is_judged
from cascade.training.classifier import TRAININGS
from cascade.training.packed import packed
from cascade.training.segmentation import TRAININGS as SEGMENTATIONS
from cascade.training.volumes import VolumeCrops, VolumeSampler
from segmenters.coarse import CoarseEnsemble
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble
from tests.datasets.trees import dicom, patient
from tests.small_bundle import small_bundle
from tests.training.test_volumes import SIZE, STILL


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As FUMPE's CT_scans: folders of slices, and no mask beside them; this patient has emboli."""
    folder = tmp_path_factory.mktemp("set") / "CT_scans"
    dicom(folder / "PAT001", patient()[0])
    return folder


def test_a_plain_scan_says_nothing_of_embolism(scans: Path) -> None:
    (case,) = open_cases(scans)
    assert case.truth.lungs is not None
    assert case.truth.embolus is None
    assert case.truth.exam is None
    assert not is_judged(case.truth)


@pytest.mark.parametrize("layout", ["study", "simulated study"])
def test_neither_does_a_study_by_itself_nor_what_lies_beside_a_truth(layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "seed-00000"
    dicom(folder / "ct" if layout == "simulated study" else folder, patient()[0])
    (folder / "truth").mkdir()
    (case,) = open_cases(folder)
    assert case.truth.embolus is None
    assert case.truth.exam is None


def test_whoever_chose_the_scans_may_say_that_none_shows_an_embolism(scans: Path, tmp_path: Path) -> None:
    (case,) = open_cases(scans, assume_negative=True)
    assert case.truth.embolus is not None
    assert not case.truth.mask().any()
    assert case.truth.exam is not None
    assert case.truth.exam.decision == "negative"
    file = tmp_path / "chosen.yaml"
    file.write_text(f"layout: scans\nfolder: {scans}\noptions: {{assume_negative: true}}\n")
    (same,) = open_cases(file)
    assert same.truth.exam == case.truth.exam
    (told,), (untold,) = entries(scans, assume_negative=True), entries(scans)
    assert told.read_as != untold.read_as, "a prepared case of the one is none of the other"


def test_no_embolus_is_learned_from_an_unknown_scan(scans: Path, tmp_path: Path) -> None:
    (case,) = open_cases(scans)
    embolus = EmbolusEnsemble(config=EmbolusConfig())
    patch = embolus.patches(case.study, case.truth)[0]
    assert np.isnan(embolus.target(case.study, case.truth, patch)[0]).all()
    packed(case).save(tmp_path / "one.case")
    sampler = VolumeSampler([tmp_path / "one.case"], CoarseEnsemble().preprocess, VolumeCrops(size=SIZE), STILL)
    assert np.isnan(sampler.draw(np.random.default_rng(0))[1]).all()


def test_no_accuracy_is_measured_on_an_unknown_scan(scans: Path) -> None:
    left: list[str] = []
    assert list(stored([scans], left.append)) == []
    assert left == ["PAT001"]
    ((name, _, truth),) = stored([scans], left.append, assume_negative=True)
    assert name == "PAT001"
    assert is_judged(truth)


def test_commands_take_the_word_for_it(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stage, usual in SEGMENTATIONS.items():
        assert Segmenter(stage=stage, assume_negative=True).settings(usual()).assume_negative
        assert not Segmenter(stage=stage).settings(usual()).assume_negative
    assert Classifier(assume_negative=True).settings(TRAININGS["siamese"]()).assume_negative
    for stage in SEGMENTATIONS:
        command = ["segmenter", "--stage", stage, "--data", str(scans), "-o", str(tmp_path / stage)]
        assert main(command) == InputError.exit_code
        assert "E_NO_MASK" in (said := capsys.readouterr().err)
        assert "--assume-negative" in said
    bundle, exams = str(tmp_path / "bundle"), ["--data", str(scans), "--assume-negative"]
    save(small_bundle(), tmp_path / "bundle")
    assert main(["fusion", *exams, "--bundle", bundle, "-o", str(tmp_path / "out")]) == 2
    assert "got 0 and 1" in capsys.readouterr().err
