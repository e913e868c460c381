"""`cascade-train check` finds what would spoil a training, and says it in one line that names the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.cli.train.main import main
from cascade.core.findings import Findings
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.datasets.checks import check
from cascade.datasets.mask_checks import fits
from tests.datasets.trees import CLOTS, dicom, nifti, nnunet, patient, rsna

Said = tuple[int, str, str]


def other(seed: int, clots: bool = True) -> tuple[Study, Findings]:
    """Another patient: other noise."""
    return patient(CLOTS if clots else (), seed)


def a_set(folder: Path, first: int = 1, name: str = "P") -> Path:
    """Three patients, the second and the third of them with clots."""
    return nnunet(folder, {f"{name}{i}": other(i, clots=i > first) for i in range(first, first + 3)})


def mask(folder: Path, name: str, array: NDArray[np.generic], grid: Grid) -> None:
    nifti(folder / "labelsTr" / f"{name}.nii.gz", array.astype(np.uint8), grid)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    """Runs the command; gives exit code, stdout, stderr."""

    def run(*data: Path, validation: tuple[Path, ...] = ()) -> Said:
        arguments = ["check", "--data", *map(str, data)]
        if validation:
            arguments += ["--validation", *map(str, validation)]
        code = main(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def one_fault(told: Said, *words: str) -> None:
    """The check failed, with one line for one fault that has these words, and the count."""
    code, _, err = told
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 3
    assert len(errors) == 1, err
    for word in words:
        assert word in errors[0], errors[0]


def test_sound_data_pass_and_are_counted(tmp_path: Path, said):
    code, out, err = said(a_set(tmp_path / "a"), validation=(a_set(tmp_path / "b", 5, "V"),))
    assert code == 0
    assert "error" not in err
    assert "data: 3 cases of 3 patients (3 labelled)" in out
    assert "data: embolism in 2 cases, none in 1, unknown in 0" in out
    slices = int(other(2)[1].mask().any(axis=(1, 2)).sum())
    assert f"data: embolism in {2 * slices} slices, none in {240 - 2 * slices}, unknown in 0" in out
    assert "validation: 3 cases of 3 patients" in out
    assert "embolus of 3, arteries of 0" in out
    assert f"HU {min(int(other(i, i > 1)[0].hu.min()) for i in range(1, 4))} to " in out


def test_1_patients_on_both_sides(tmp_path: Path, said):
    held = nnunet(tmp_path / "b", {"P2": other(12), "V1": other(13, clots=False)})
    told = said(a_set(tmp_path / "a"), validation=(held,))
    one_fault(told, "E_SPLIT", "'P2'", "P2_0000.nii.gz", "move all studies of a patient to one side")


def test_2_empty_masks(tmp_path: Path, said):
    folder = a_set(tmp_path)
    mask(folder, "P2", np.zeros(other(2)[0].hu.shape), other(2)[0].grid)
    code, out, err = said(folder)
    assert code == 0, "an empty mask may be meant"
    assert "embolism in 1 case, none in 2" in out
    assert err.count("W_EMPTY_MASK") == 2
    assert "imagesTr/P2_0000.nii.gz" in err
    mask(folder, "P3", np.zeros(other(2)[0].hu.shape), other(2)[0].grid)
    one_fault(said(folder), "E_ONE_CLASS", "no case of data is with embolism")


def test_3_a_mask_on_another_grid(tmp_path: Path, said):
    folder = a_set(tmp_path)
    study, truth = other(2)
    mask(folder, "P2", truth.mask()[1:], study.grid)
    one_fault(said(folder), "E_MASK_GRID", "P2.nii.gz", "79 x 66 x 84", "header of the image")


def test_3_a_mask_whose_affine_is_wrong(tmp_path: Path, said):
    folder = a_set(tmp_path)
    study, truth = other(2)
    affine = np.array(study.grid.affine)
    affine[:3, 3] += (0, 0, 12)
    mask(folder, "P2", truth.mask(), Grid(study.grid.shape, affine))
    one_fault(said(folder), "E_MASK_GRID", "P2.nii.gz", "12.0 mm")


def test_4_a_mirrored_mask(tmp_path: Path, said):
    folder = a_set(tmp_path)
    study, truth = other(2)
    mask(folder, "P2", truth.mask()[:, :, ::-1], study.grid)
    one_fault(said(folder), "E_MASK_TURNED", "P2_0000.nii.gz", "turned left to right", "export both anew")


def test_5_one_class_only(tmp_path: Path, said):
    one_fault(said(nnunet(tmp_path / "a", {f"N{i}": other(i, clots=False) for i in (1, 2)})), "E_ONE_CLASS")
    code, _, err = said(nnunet(tmp_path / "b", {f"Y{i}": other(i) for i in (1, 2)}))
    assert code == 0
    assert "W_ONE_CLASS: no case of data is without embolism, of 2" in err


def test_6_a_file_that_cannot_be_read(tmp_path: Path, said):
    folder = a_set(tmp_path)
    image = folder / "imagesTr" / "P2_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:5000])
    one_fault(said(folder), "E_TRUNCATED", "imagesTr/P2_0000.nii.gz", "copy it again")


def test_7_wrong_columns(tmp_path: Path, said):
    rsna(tmp_path, "aaa", negative_exam_for_pe=1)
    table = tmp_path / "train.csv"
    table.write_text(table.read_text().replace("pe_present_on_image", "pe_present"))
    one_fault(said(tmp_path), "E_COLUMNS", "train.csv", "'pe_present_on_image'", "did you mean 'pe_present'")


def test_8_the_same_study_under_two_names(tmp_path: Path, said):
    folder = a_set(tmp_path / "a")
    held = nnunet(tmp_path / "b", {"V1": other(2), "V2": other(9, clots=False)})
    told = said(folder, validation=(held,))
    one_fault(told, "E_DUPLICATE", "V1_0000.nii.gz of validation", "P2_0000.nii.gz of data", "take one of them away")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (lambda hu: np.clip(hu / 10 + 100, 0, 255), "E_NOT_HU"),  # 8-bit grey
        (lambda hu: hu * 0.5, "E_NOT_HU"),  # a slope that was lost
        (lambda hu: hu * 2.0, "E_NOT_HU"),
        (lambda hu: -hu, "E_NOT_HU"),
    ],
)
def test_9_values_that_are_no_hu(tmp_path: Path, said, wrong, code: str):
    folder = a_set(tmp_path)
    study, _ = other(1, clots=False)
    nifti(folder / "imagesTr" / "P1_0000.nii.gz", np.rint(wrong(study.hu.astype(float))).astype(np.int16), study.grid)
    one_fault(said(folder), code, "P1_0000.nii.gz")


def test_9_an_offset_that_was_left_in_is_remarked(tmp_path: Path, said):
    folder = a_set(tmp_path)
    study, _ = other(2)
    nifti(folder / "imagesTr" / "P2_0000.nii.gz", study.hu + np.int16(1024), study.grid)
    code, out, _ = said(folder)
    assert code == 0
    assert "W_OFFSET_FIXED 1" in out


def test_10_a_mask_that_is_upside_down(tmp_path: Path, said):
    folder = a_set(tmp_path)
    study, truth = other(2)
    mask(folder, "P2", truth.mask()[::-1], study.grid)
    one_fault(said(folder), "E_MASK_TURNED", "P2_0000.nii.gz", "turned upside down")


def test_10_slices_numbered_the_other_way_round(tmp_path: Path, said):
    from scipy.io import savemat

    study, truth = patient()
    dicom(tmp_path / "CT_scans" / "PAT001", study, {z: f"D{z + 1:04d}.dcm" for z in range(80)})
    (tmp_path / "GroundTruth").mkdir()
    reversed_z = truth.mask()[::-1].transpose(1, 2, 0).astype(np.uint8)
    savemat(tmp_path / "GroundTruth" / "PAT001.mat", {"Mask": reversed_z})
    one_fault(said(tmp_path), "E_MASK_TURNED", "CT_scans/PAT001", "upside down")


def test_a_missing_mask_and_a_broken_file_are_both_told(tmp_path: Path, said):
    folder = a_set(tmp_path)
    (folder / "labelsTr" / "P2.nii.gz").unlink()
    (folder / "imagesTr" / "P1_0000.nii.gz").write_bytes(b"no volume")
    code, out, err = said(folder)
    assert code == 3
    assert [line.split(":")[1].strip() for line in err.splitlines()[:2]] == ["E_UNKNOWN_FORMAT", "E_MASK_MISSING"]
    assert "2 faults" in err
    assert "data: 1 case of 3 patients" in out


def test_plain_scans_alone_are_no_fault(tmp_path: Path, said):
    for i in (1, 2):
        dicom(tmp_path / f"chest{i}", other(i, clots=False)[0])
    code, _, err = said(tmp_path)
    assert code == 0
    assert "ONE_CLASS" not in err


def test_a_layout_that_is_named_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = a_set(tmp_path)
    assert main(["check", "--data", str(folder), "--dataset", "rsna"]) == 3
    assert "the table train.csv is missing" in capsys.readouterr().err


@pytest.mark.data
def test_real_masks_fit_as_they_are_and_in_no_other_orientation(shared: Path):
    from cascade.datasets import open_cases

    for case in (one for name in ("fumpe-pat001", "fumpe-pat031") for one in open_cases(shared / "ctpa" / name)):
        found = fits(case.study.hu, case.truth.mask())
        own = found.pop(())
        assert own.clot > 0.8
        assert own.rim > 2 * max(other.rim for other in found.values())
        assert fits(case.study.hu, case.truth.mask()[::-1, :, ::-1])[0, 2] == own


@pytest.mark.data
@pytest.mark.slow
def test_real_data_raise_no_false_alarm(shared: Path):
    report = check([shared / "ctpa", shared / "real", shared / "dicom"])
    assert [fault.code for fault in report.faults] == ["W_EMPTY_MASK"], "FUMPE says that its patient 32 has no embolism"


@pytest.mark.parametrize("command", [["segmenter"], ["classifier", "--imagenet", "no"]])
@pytest.mark.parametrize("fault", ["missing", "unreadable"])
def test_bad_data_stop_a_training_before_it_begins(
    tmp_path: Path, command: list[str], fault: str, capsys: pytest.CaptureFixture[str]
):
    folder = a_set(tmp_path / "set")
    file = folder / ("labelsTr/P3.nii.gz" if fault == "missing" else "imagesTr/P3_0000.nii.gz")
    if fault == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:3000])
    assert main([*command, "--data", str(folder), "-o", str(tmp_path / "run"), "--steps", "1"]) == 3
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    assert file.name in told[0]
    assert ("put it there" if fault == "missing" else "copy it again") in told[0]
    assert not (tmp_path / "run").exists()


def test_a_case_that_was_labelled_positive_needs_a_mask_that_is_not_empty(tmp_path: Path):
    from cascade.core.findings import Exam
    from cascade.datasets.case import Case
    from cascade.datasets.mask_checks import suspicions

    study, truth = other(1, clots=False)
    case = Case("x", "x", "labelled", study, replace(truth, exam=Exam("positive")))
    assert [fault.code for fault in suspicions(case, "x")] == ["E_EMPTY_MASK"]
