"""Pictures of three windows: written, read back to HU, and what is honest about the rest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cascade.cli.train.main import main
from cascade.core.errors import InputError
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.core.truth import KNOWN
from cascade.datasets import open_cases
from cascade.datasets.case import Case
from cascade.datasets.rgb_windows import lung_low_of, to_hu, to_picture
from cascade.training.images import ImageConfig, write_images
from cascade.writing import write_nifti
from classifiers import LungFilter, Siamese
from tests.datasets.trees import dicom, patient


def labelled(name: str = "one") -> Case:
    return Case(name, "P7", "labelled", *patient())


def test_hu_come_back_from_a_picture_within_a_step_of_the_finest_window():
    hu = np.arange(-1350, 451, dtype=np.int16)
    error = np.abs(to_hu(to_picture(hu)).astype(int) - hu)
    assert error.max() < 6, "a step of the lung window"
    assert error[(hu > -220) & (hu < 440)].max() <= 2
    assert error[(hu > -120) & (hu < 200)].max() <= 1
    assert to_hu(to_picture(np.array([-3000, 3000]))).tolist() == [-1350, 450]


@pytest.mark.parametrize("low", [-1350.0, -1024.0, -1000.0])
@pytest.mark.parametrize("packed", [".png", ".jpg"])
def test_the_published_scale_of_the_lung_window_is_found_from_the_pictures(low: float, packed: str):
    hu = patient()[0].hu[40].astype(np.float64)
    picture = to_picture(hu)
    picture[..., 0] = (np.clip((hu - low) / (150 - low), 0, 1) * 255).astype(np.uint8)
    picture = cv2.imdecode(cv2.imencode(packed, picture[..., ::-1].copy())[1], cv2.IMREAD_COLOR)[..., ::-1]
    found = lung_low_of([picture])
    assert found == pytest.approx(low, abs=25)
    inside = (hu > low) & (hu < 440)
    error = np.abs(to_hu(picture, found) - hu)[inside]
    assert np.median(error) < (4 if packed == ".png" else 25)


def test_what_is_written_as_png_is_read_back(tmp_path: Path):
    case = labelled()
    told = write_images([case], tmp_path, ImageConfig(size=None, format="png"))
    assert (told.cases, told.pictures, told.without) == (1, 80, [])
    (back,) = open_cases(tmp_path)
    assert (back.name, back.patient) == ("one", "P7")
    inside = (case.study.hu > -1340) & (case.study.hu < 440)
    error = np.abs(back.study.hu.astype(int) - case.study.hu)[inside]
    assert error.max() <= 4
    assert error[case.study.hu[inside] > -100].max() <= 2
    assert back.study.grid.spacing == pytest.approx(case.study.grid.spacing, rel=1e-4)
    assert back.truth.slices is not None
    np.testing.assert_array_equal(back.truth.slices.pe[KNOWN], case.truth.mask().any(axis=(1, 2)))
    assert back.truth.embolus is None, "nobody drew outlines on pictures"


def test_what_is_written_small_as_jpeg_keeps_tissue_and_slices(tmp_path: Path):
    case = labelled()
    write_images([case], tmp_path, ImageConfig(size=64))
    (back,) = open_cases(tmp_path)
    assert back.study.hu.shape == (80, 50, 64)
    z = int(np.argmax(case.truth.mask().sum(axis=(1, 2))))
    muscle = back.study.hu[z][(back.study.hu[z] > 0) & (back.study.hu[z] < 80)]
    assert np.median(muscle) == pytest.approx(40, abs=6)


@pytest.mark.parametrize("digits", [3, 4, 1])
def test_published_names_of_any_number_of_digits_go_by_the_number(tmp_path: Path, digits: int):
    write_images([labelled()], tmp_path, ImageConfig(size=None, format="png"))
    for path in list((tmp_path / "train-jpegs").rglob("*.png")):
        number, _, sop = path.name.partition("_")
        path.rename(path.with_name(f"{int(number):0{digits}d}_{sop}"))
    (back,) = open_cases(tmp_path)
    np.testing.assert_array_equal(back.truth.slices.pe[KNOWN], patient()[1].mask().any(axis=(1, 2)))  # type: ignore[union-attr]


def test_without_distances_the_study_says_that_they_are_assumed(tmp_path: Path):
    write_images([labelled()], tmp_path, ImageConfig(size=None, format="png"))
    (tmp_path / "spacing.csv").unlink()
    (back,) = open_cases(tmp_path)
    assert {note.code for note in back.study.warnings} == {"W_SPACING_ASSUMED", "W_WINDOWED"}
    for stage in (LungFilter(), Siamese()):
        patches = stage.patches(back.study, back.truth)
        assert np.isfinite([stage.target(back.study, back.truth, f)[-1] for f in patches]).all()


def test_an_exam_of_which_nothing_is_known_teaches_nothing(tmp_path: Path):
    study, _ = patient()
    told = write_images([Case("x", "x", "real", study, Findings(study.grid))], tmp_path, ImageConfig(size=32))
    assert told.without == ["x"]
    (back,) = open_cases(tmp_path)
    assert back.truth.slices is None
    assert back.truth.exam is not None
    assert back.truth.exam.decision == "abstain"


def test_the_command_writes_a_set_from_dicom_and_from_a_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study, _ = patient()
    dicom(tmp_path / "scan", study)
    write_nifti(study, tmp_path / "ct.nii.gz")
    sources = [str(tmp_path / "scan"), str(tmp_path / "ct.nii.gz")]
    arguments = ["images", "--data", *sources, "-o", str(tmp_path / "out"), "--size", "56", "--format", "png", "-v"]
    assert main(arguments) == 0
    assert "160 pictures of 2 studies" in capsys.readouterr().err
    for case in open_cases(tmp_path / "out"):
        assert case.study.hu.shape == (80, 44, 56)
        assert case.study.grid.spacing == pytest.approx((3.0, 6.0, 6.0), rel=1e-3)
    assert main(arguments) == 2, "nothing is overwritten"


def pngs(folder: Path, study: Study, truth: Findings, grey: tuple[int, int] = (-600, 1500)) -> None:
    level, width = grey
    unit = np.clip((study.hu - (level - width / 2)) / width, 0, 1)
    for kind in ("image", "mask"):
        (folder / kind).mkdir(parents=True)
    for z, (plane, mask) in enumerate(zip(unit, truth.mask(), strict=True)):
        cv2.imwrite(str(folder / "image" / f"PAT001_D{z + 1:04d}.png"), np.rint(plane * 255).astype(np.uint8))
        cv2.imwrite(str(folder / "mask" / f"PAT001_D{z + 1:04d}.png"), mask.astype(np.uint8) * 255)


def test_grey_slices_with_masks_are_read_where_their_window_is_named(tmp_path: Path):
    study, truth = patient()
    pngs(tmp_path / "train", study, truth)
    options = "{window: [-600, 1500], pixel_mm: 4.0, slice_mm: 3.0}"
    (tmp_path / "dataset.yaml").write_text(f"layout: png\noptions: {options}\n")
    (case,) = open_cases(tmp_path)
    assert (case.name, case.patient) == ("PAT001_D0001", "PAT001")
    moved = truth.grid.to_mm(np.zeros(3))
    here, there = (f.grid.to_mm(np.argwhere(f.mask())).mean(axis=0) for f in (case.truth, truth))
    np.testing.assert_allclose(here, there - moved, atol=0.1)
    assert {note.code for note in case.study.warnings} == {"W_WINDOWED"}
    assert case.truth.lungs is not None
    assert case.truth.lungs.region is not None
    assert case.truth.exam is None, "slices of a patient are not the exam"


def test_grey_slices_without_a_window_are_refused_because_they_have_no_hu(tmp_path: Path):
    pngs(tmp_path / "train", *patient())
    with pytest.raises(InputError, match=r"E_NO_HU: .*write it into dataset.yaml"):
        list(open_cases(tmp_path))


def test_masks_of_0_and_1_are_refused_and_not_taken_for_empty(tmp_path: Path):
    pngs(tmp_path, *patient())
    (tmp_path / "dataset.yaml").write_text("options: {window: lung}\n")
    for path in (tmp_path / "mask").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) // 255)
    with pytest.raises(InputError, match=r"values up to 1, .*write masks of 0 and 255"):
        list(open_cases(tmp_path))


def test_a_slice_without_its_mask_is_refused_and_a_gap_begins_another_case(tmp_path: Path):
    pngs(tmp_path, *patient())
    (tmp_path / "dataset.yaml").write_text("options: {window: lung}\n")
    for kind in ("image", "mask"):
        (tmp_path / kind / "PAT001_D0041.png").unlink()
    assert [case.study.grid.shape[0] for case in open_cases(tmp_path)] == [40, 39]
    (tmp_path / "mask" / "PAT001_D0020.png").unlink()
    with pytest.raises(InputError, match=r"E_MASK_MISSING: .*PAT001_D0020 has no mask"):
        list(open_cases(tmp_path))


def test_pictures_of_different_sizes_make_no_study(tmp_path: Path):
    pngs(tmp_path, *patient())
    (tmp_path / "dataset.yaml").write_text("options: {window: lung}\n")
    cv2.imwrite(str(tmp_path / "image" / "PAT001_D0003.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError, match="E_MIXED_SIZES"):
        list(open_cases(tmp_path))
