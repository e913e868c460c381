"""Data sets with masks: the clot lies where it lies in the patient, whatever the files do."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.io import savemat

from cascade.core.errors import InputError, UsageError
from cascade.datasets import entries, open_cases
from tests.datasets.trees import (
    assert_in_place,
    centre_mm,
    dicom,
    nifti,
    nnunet,
    nrrd_file,
    patient,
)


def fumpe(folder: Path, downward: bool, ct: str = "CT_scans", first: int = 1) -> Path:
    study, truth = patient()
    count = len(study.hu)
    number = {z: first + (count - 1 - z if downward else z) for z in range(count)}
    dicom(folder / ct / "PAT001", study, {z: f"D{n:04d}.dcm" for z, n in number.items()})
    mask = truth.mask().astype(np.uint8)[:: -1 if downward else 1]
    (folder / "GroundTruth").mkdir()
    savemat(folder / "GroundTruth" / "PAT001.mat", {"Mask": mask.transpose(1, 2, 0)})
    return folder


@pytest.mark.parametrize(("downward", "ct"), [(False, "CT_scans"), (True, "CT_scans 01")])
def test_fumpe_masks_follow_the_file_names_and_land_in_the_patient(tmp_path: Path, downward: bool, ct: str):
    (case,) = open_cases(fumpe(tmp_path, downward, ct))
    assert (case.name, case.patient, case.kind) == ("PAT001", "PAT001", "labelled")
    assert_in_place(case, patient()[1])
    assert case.truth.exam is not None
    assert case.truth.exam.decision == "positive"
    assert case.truth.arteries is None


def test_fumpe_with_nifti_masks_goes_by_their_headers(tmp_path: Path):
    study, truth = patient()
    fumpe(tmp_path, downward=True)
    (tmp_path / "GroundTruth" / "PAT001.mat").unlink()
    nifti(tmp_path / "GroundTruth" / "PAT001.nii.gz", truth.mask().astype(np.uint8), study.grid, flips=(0, 2))
    (case,) = open_cases(tmp_path)
    assert_in_place(case, truth)


def test_fumpe_slices_numbered_beyond_the_mask_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"PAT001: .*D0081.dcm has no slice in PAT001.mat, which has 80"):
        list(open_cases(fumpe(tmp_path, downward=False, first=2)))


def test_a_patient_without_a_mask_is_refused_by_name(tmp_path: Path):
    fumpe(tmp_path, downward=False)
    dicom(tmp_path / "CT_scans" / "PAT002", patient()[0])
    with pytest.raises(InputError, match=r"CT_scans/PAT002: the mask PAT002.mat is missing; put it there"):
        list(open_cases(tmp_path))


@pytest.mark.data
def test_a_mask_of_fumpe_as_published_lies_where_its_copy_in_nifti_lies(shared: Path, tmp_path: Path):
    real = shared / "ctpa" / "fumpe-pat001"
    for folder, target in (("CT_scans", real / "ct"), ("GroundTruth", real)):
        (tmp_path / folder).mkdir()
        link = tmp_path / folder / "PAT001"
        if folder == "CT_scans":
            link.symlink_to(target)
        else:
            link.with_suffix(".mat").symlink_to(target / "PAT001.mat")
    (published,) = open_cases(tmp_path, "fumpe")
    (copy,) = open_cases(real, "labelled")
    assert np.array_equal(published.truth.mask(), copy.truth.mask())
    assert published.truth.mask().sum() * published.study.grid.voxel_mm3 == pytest.approx(7300, rel=0.02)
    # A clot is soft tissue among bright blood; anywhere else the mask would lie on air, bone or contrast.
    assert 50 < published.study.hu[published.truth.mask()].mean() < 100


def cadpe(folder: Path) -> Path:
    study, truth = patient()
    nrrd_file(folder / "images" / "001.nrrd", study.hu, study.grid, flips=(1,))
    nrrd_file(folder / "rs" / "0001RefStd.nrrd", truth.lesion_mask().astype(np.uint16), study.grid, flips=(0, 2))
    nrrd_file(folder / "images" / "021.nrrd", study.hu, study.grid)
    nrrd_file(folder / "rs" / "021RefStd.nrrd", truth.lesion_mask().astype(np.uint16), study.grid)
    nrrd_file(folder / "images" / "e0032.nrrd", study.hu, study.grid)
    nrrd_file(folder / "rs" / "e0032RefStd.nrrd", truth.lesion_mask().astype(np.uint16), study.grid)
    return folder


def test_cad_pe_pairs_by_number_places_by_header_and_keeps_instances(tmp_path: Path):
    cases = list(open_cases(cadpe(tmp_path)))
    assert [case.name for case in cases] == ["001", "021", "e0032"]
    truth = patient()[1]
    for case in cases:
        assert_in_place(case, truth)
        assert np.array_equal(np.unique(case.truth.lesion_mask()), [0, 1, 2])
        for number in (1, 2):
            here, there = (np.argwhere(f.lesion_mask() == number) for f in (case.truth, truth))
            assert np.allclose(case.study.grid.to_mm(here).mean(0), truth.grid.to_mm(there).mean(0), atol=0.1)


def test_cad_pe_parts_as_published(tmp_path: Path):
    cadpe(tmp_path / "CAD-PE")
    for split, scans in (("train", ["001", "e0032"]), ("test", ["021"])):
        file = tmp_path / f"{split}.yaml"
        file.write_text(f"layout: cadpe\nfolder: CAD-PE\noptions: {{split: {split}}}\n")
        assert [case.name for case in open_cases(file)] == scans


def test_cad_pe_refuses_a_mask_whose_header_is_not_its_images(tmp_path: Path):
    study, truth = patient()
    cadpe(tmp_path)
    # The array of the image, under a header that runs the other way.
    nrrd_file(tmp_path / "rs" / "021RefStd.nrrd", truth.lesion_mask()[:, :, ::-1], study.grid, flips=(2,))
    moved = np.array(study.grid.affine)
    moved[0, 3] += 20
    grid = type(study.grid)(study.grid.shape, moved)
    nrrd_file(tmp_path / "rs" / "e0032RefStd.nrrd", truth.lesion_mask(), grid)
    with pytest.raises(InputError, match=r"images/e0032.nrrd: .*up to 20.0 mm from those of its study; write the mask"):
        list(open_cases(tmp_path))


def test_read_matches_arrays_by_index_whatever_the_label_header_says(tmp_path: Path):
    study, truth = patient()
    dicom(tmp_path / "images" / "GE (DICOM files)" / "01GE", study)
    # As published: the array as it should be, its header upside down and rounded.
    affine = np.array(study.grid.affine)
    affine[:3, 1:3] *= 1.00001
    affine[:3, 3] += affine[:3, 0] * (len(study.hu) - 1)
    affine[:3, 0] *= -1
    nifti(tmp_path / "rs" / "01GE.nii.gz", truth.mask()[::-1].astype(np.uint8), study.grid, flips=(0,))
    image = nib.load(tmp_path / "rs" / "01GE.nii.gz")
    assert nib.aff2axcodes(image.affine)[2] == "I"
    nib.save(nib.Nifti1Image(truth.mask().astype(np.uint8).T, image.affine), tmp_path / "rs" / "01GE.nii.gz")
    (case,) = open_cases(tmp_path)
    assert_in_place(case, truth)


def test_nnunet_pairs_with_labels_by_name(tmp_path: Path):
    study, truth = patient()
    arteries = truth.arteries.full(study.grid.shape) > 0 if truth.arteries else truth.mask()
    nnunet(tmp_path, {"P1_a": (study, truth)}, {"background": 0, "pulmonary artery": 1, "embolus": 2})
    both = np.where(truth.mask(), 2, arteries).astype(np.uint8)
    nifti(tmp_path / "labelsTr" / "P1_a.nii.gz", both, study.grid)
    (tmp_path / "dataset.yaml").write_text("options: {patient: '(P[0-9]+)_'}\n")
    (case,) = open_cases(tmp_path)
    assert (case.name, case.patient) == ("P1_a", "P1")
    assert_in_place(case, truth)
    assert case.truth.arteries is not None
    assert np.array_equal(case.truth.arteries.full(study.grid.shape) > 0, arteries)


def test_nnunet_labels_of_version_1_are_read_and_the_only_one_is_the_embolus(tmp_path: Path):
    nnunet(tmp_path, {"one": patient()}, {"0": "background", "1": "lesion"})
    (case,) = open_cases(tmp_path)
    assert_in_place(case, patient()[1])


def test_nnunet_labels_that_name_no_embolus_are_asked_for(tmp_path: Path):
    nnunet(tmp_path, {"one": patient()}, {"background": 0, "heart": 1, "lung": 2})
    with pytest.raises(UsageError, match=r"heart, lung, and none is called embolus; name it in dataset.yaml"):
        list(open_cases(tmp_path))


def test_nnunet_images_of_another_kind_are_refused(tmp_path: Path):
    nnunet(tmp_path, {"one": patient()})
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1"}, "labels": {}}))
    with pytest.raises(InputError, match="E_NOT_HU"):
        list(open_cases(tmp_path))


@pytest.mark.parametrize(
    ("lost", "code"), [("labelsTr/one.nii.gz", "E_MASK_MISSING"), ("imagesTr/one_0000.nii.gz", "E_SCAN_MISSING")]
)
def test_half_a_pair_is_refused(tmp_path: Path, lost: str, code: str):
    nnunet(tmp_path, {"one": patient(), "two": patient()})
    (tmp_path / lost).unlink()
    with pytest.raises(InputError, match=code):
        list(open_cases(tmp_path))


def test_an_empty_mask_says_that_there_is_no_embolism(tmp_path: Path):
    nnunet(tmp_path, {"one": patient(clots=())})
    (case,) = open_cases(tmp_path)
    assert case.truth.exam is not None
    assert case.truth.exam.decision == "negative"
    assert case.truth.embolus is not None


def test_a_set_whose_patients_are_all_left_out_says_so(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no study")
    with pytest.raises(InputError, match=r"E_NO_CASES.*holds no case of the layout fumpe; see docs/datasets.md"):
        list(entries(tmp_path, "fumpe"))


def test_patients_are_chosen_by_patterns(tmp_path: Path):
    nnunet(tmp_path / "set", dict.fromkeys(("A1", "A2", "B1"), patient()))
    (tmp_path / "some.yaml").write_text("folder: set\npatients: ['A*']\nwithout: [A2]\n")
    assert [case.name for case in open_cases(tmp_path / "some.yaml")] == ["A1"]
    assert np.isfinite(centre_mm(next(open_cases(tmp_path / "some.yaml")))).all()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("layuot: nifti", "layuot is unknown; did you mean 'layout'"),
        ("layout: nitfi", "did you mean 'nifti'"),
        ("options: {split: train}", "options.split is unknown"),
        ("folder: elsewhere", "which is not there"),
        ("layout: [", "E_DATASET"),
    ],
)
def test_a_wrong_description_is_answered_with_the_key(tmp_path: Path, text: str, told: str):
    nnunet(tmp_path, {"one": patient()})
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(UsageError, match=told):
        list(open_cases(tmp_path))
