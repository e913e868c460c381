"""NIfTI, NRRD and arrays."""

from __future__ import annotations

import gzip

import nibabel
import nrrd
import numpy as np
import pytest

from cascade.core.errors import InputError
from cascade.reading import candidates, from_array, read
from tests.analytic_dicom import phantom, write

AFFINE = np.array([[-0.7, 0, 0, 40], [0, 0.75, 0, -50], [0, 0, 2.5, -100], [0, 0, 0, 1.0]])


def hu(shape=(12, 11, 10)) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)


def test_nifti_is_told_by_content_not_by_name(tmp_path):
    nibabel.save(nibabel.Nifti1Image(hu(), AFFINE), tmp_path / "v.nii.gz")
    (tmp_path / "v.nii.gz").rename(tmp_path / "scan.dcm")
    study = read(tmp_path / "scan.dcm")
    assert study.facts["format"] == "NIfTI"
    # RAS x grows to the right in this file's first axis reversed: left is +x in LPS.
    assert np.array_equal(study.hu, hu().transpose(2, 1, 0)[:, ::-1, :])


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_both_nifti_versions_are_read(tmp_path, kind):
    nibabel.save(kind(hu(), AFFINE), tmp_path / "v.nii")
    assert read(tmp_path / "v.nii").hu.shape == (10, 11, 12)


def test_stored_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.full((9, 9, 9), 5.0), AFFINE)
    image.header.set_data_dtype(np.int16)
    image.dataobj[0, 0, 0] = -1000.0
    nibabel.save(image, tmp_path / "v.nii")
    study = read(tmp_path / "v.nii")
    assert sorted(np.unique(study.hu).tolist()) == [-1000, 5]


def test_floats_are_rounded_half_to_even_and_nan_is_air(tmp_path):
    values = np.full((4, 4, 4), -1000, np.float32)
    values[1, 1, 0:3] = 0.5, 1.5, np.nan
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])), tmp_path / "v.nii")
    study = read(tmp_path / "v.nii")
    assert study.hu[:3, 1, 1].tolist() == [0, 2, -1024]


def test_a_nifti_without_a_place_is_refused(tmp_path):
    image = nibabel.Nifti1Image(hu(), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "v.nii")
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        read(tmp_path / "v.nii")


def test_a_sheared_nifti_is_refused(tmp_path):
    affine = AFFINE.copy()
    affine[1, 2] = 0.6
    nibabel.save(nibabel.Nifti1Image(hu(), affine), tmp_path / "v.nii")
    with pytest.raises(InputError, match="E_GANTRY_TILT"):
        read(tmp_path / "v.nii")


def test_several_volumes_in_one_nifti_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(hu((5, 5, 5, 2)), AFFINE), tmp_path / "v.nii")
    with pytest.raises(InputError, match="E_PIXEL_FORMAT"):
        read(tmp_path / "v.nii")


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_a_truncated_nifti_is_refused(tmp_path, name):
    nibabel.save(nibabel.Nifti1Image(hu(), AFFINE), tmp_path / name)
    body = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(body[: len(body) // 2])
    with pytest.raises(InputError, match="E_TRUNCATED"):
        read(tmp_path / name)


def test_a_header_that_promises_too_much_is_refused_without_reading(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((32767, 32767, 32767))
    header["vox_offset"], header["magic"], header["sform_code"] = 352, b"n+1", 1
    (tmp_path / "v.nii").write_bytes(header.binaryblock + b"\0" * 4)
    with pytest.raises(InputError, match="E_LIMIT"):
        read(tmp_path / "v.nii")


def test_a_packed_bomb_is_read_no_further_than_its_header_says(tmp_path):
    nibabel.save(nibabel.Nifti1Image(hu(), AFFINE), tmp_path / "v.nii")
    bomb = (tmp_path / "v.nii").read_bytes() + bytes(200_000_000)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bomb, 1))
    assert read(tmp_path / "bomb.nii.gz").hu.shape == (10, 11, 12)


def test_nrrd_in_ras_and_lps_is_the_same_place(tmp_path):
    volume = hu()
    lps = {"space": "left-posterior-superior", "space directions": np.diag([0.7, 0.8, 2.0]), "space origin": [1, 2, 3]}
    ras = {"space": "RAS", "space directions": np.diag([-0.7, -0.8, 2.0]), "space origin": [-1, -2, 3]}
    for name, header in (("lps", lps), ("ras", ras)):
        nrrd.write(str(tmp_path / f"{name}.nrrd"), volume, header)
    one, other = (read(tmp_path / f"{name}.nrrd") for name in ("lps", "ras"))
    assert one.grid == other.grid
    assert np.array_equal(one.hu, other.hu)
    assert np.array_equal(one.hu, volume.transpose(2, 1, 0))


@pytest.mark.parametrize(("unit", "millimetres"), [("mm", 1.0), ("cm", 10.0), ("m", 1000.0), ("um", 0.001)])
def test_an_nrrd_in_other_units_lies_where_it_says(tmp_path, unit, millimetres):
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag([0.7, 0.8, 2.0]) / millimetres,
        "space origin": np.array([1.0, 2.0, 3.0]) / millimetres,
        "space units": [unit] * 3,
    }
    nrrd.write(str(tmp_path / "v.nrrd"), hu(), header)
    grid = read(tmp_path / "v.nrrd").grid
    assert grid.spacing == pytest.approx((2.0, 0.8, 0.7))
    assert grid.affine[:3, 3] == pytest.approx((1.0, 2.0, 3.0))


def test_an_nrrd_in_inches_is_refused(tmp_path):
    header = {"space": "LPS", "space directions": np.eye(3), "space units": ["in"] * 3}
    nrrd.write(str(tmp_path / "v.nrrd"), hu(), header)
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        read(tmp_path / "v.nrrd")


def test_nrrd_without_space_is_refused(tmp_path):
    nrrd.write(str(tmp_path / "v.nrrd"), hu(), {})
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        read(tmp_path / "v.nrrd")


def test_nrrd_never_opens_another_file(tmp_path):
    (tmp_path / "secret.raw").write_bytes(bytes(2 * 8))
    (tmp_path / "v.nhdr").write_text(
        "NRRD0004\ntype: int16\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nendian: little\n"
        "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\ndata file: secret.raw\n\n"
    )
    with pytest.raises(InputError, match="E_PIXEL_FORMAT"):
        read(tmp_path / "v.nhdr")


def test_a_truncated_nrrd_is_refused(tmp_path):
    header = {"space": "LPS", "space directions": np.eye(3), "encoding": "raw"}
    nrrd.write(str(tmp_path / "v.nrrd"), hu(), header)
    body = (tmp_path / "v.nrrd").read_bytes()
    (tmp_path / "v.nrrd").write_bytes(body[:-500])
    with pytest.raises(InputError, match="E_TRUNCATED"):
        read(tmp_path / "v.nrrd")


def test_an_array_needs_its_affine_or_its_spacing():
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        from_array(hu())
    study = from_array(hu(), spacing=(2.0, 0.7, 0.8))
    assert study.grid.spacing == pytest.approx((2.0, 0.7, 0.8))


def test_an_array_is_copied_so_that_the_study_cannot_change():
    volume = hu()
    study = from_array(volume, spacing=(1, 1, 1))
    volume[:] = 0
    assert study.hu.any()


def test_a_volume_that_is_no_ct_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9), np.uint8), AFFINE), tmp_path / "mask.nii")
    with pytest.raises(InputError, match="E_NOT_HU"):
        read(tmp_path / "mask.nii")


def test_a_volume_has_no_candidates_to_choose_from(tmp_path):
    nibabel.save(nibabel.Nifti1Image(hu(), AFFINE), tmp_path / "v.nii")
    with pytest.raises(InputError, match="E_NO_CT_SERIES"):
        candidates(tmp_path / "v.nii")


@pytest.mark.parametrize(("unit", "millimetres"), [("meter", 1000.0), ("mm", 1.0), ("micron", 0.001)])
def test_a_nifti_in_other_units_lies_where_it_says(tmp_path, unit, millimetres):
    image = nibabel.Nifti1Image(hu(), np.diag([1 / millimetres] * 3 + [1.0]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "v.nii")
    assert read(tmp_path / "v.nii").grid.spacing == pytest.approx((2.5, 0.75, 0.7))


def test_micrometres_that_are_called_nothing_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(hu(), np.diag([1000.0, 1000, 1000, 1]) @ AFFINE), tmp_path / "v.nii")
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*millimetres"):
        read(tmp_path / "v.nii")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_nifti_of_two_files_is_named_as_such(tmp_path, kind):
    nibabel.save(kind(hu(), AFFINE), tmp_path / "v.img")
    with pytest.raises(InputError, match=r"E_PIXEL_FORMAT.*another file"):
        read(tmp_path / "v.hdr")


def test_an_array_with_its_offset_left_in_is_put_right_and_one_without_hu_is_refused():
    volume = np.full((20, 40, 40), -1000, np.int16)
    volume[:, 10:30, 10:30] = 40
    study = from_array((volume + 1024).astype(np.uint16), spacing=(2, 1, 1))
    assert [note.code for note in study.warnings] == ["W_OFFSET_FIXED"]
    assert np.array_equal(study.hu, volume)
    with pytest.raises(InputError, match="E_NOT_HU"):
        from_array((volume + 1000) / 4000.0, spacing=(2, 1, 1))


@pytest.mark.parametrize("spacing", [1.0, (1.0, 1.0), (1.0, 0.0, 1.0), (1.0, float("nan"), 1.0), "abc", {}])
def test_a_spacing_that_is_not_three_lengths_is_refused(spacing):
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        from_array(hu(), spacing=spacing)


def test_a_transposed_affine_is_refused():
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*transposed"):
        from_array(hu(), affine=AFFINE.T)


def test_an_affine_of_words_or_a_volume_of_uneven_rows_ended_in_a_raw_error():
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        from_array(hu(), affine="abc")
    with pytest.raises(InputError, match="E_PIXEL_FORMAT"):
        from_array([[1], [2, 3]], spacing=(1, 1, 1))


def test_lists_are_arrays_too():
    assert from_array(hu().tolist(), spacing=[2.0, 0.7, 0.8]).grid.shape == (12, 11, 10)


@pytest.mark.parametrize(("degrees", "remarked"), [(10, False), (20, True), (60, True)])
@pytest.mark.parametrize("plane", [(0, 1), (1, 2)])
def test_a_turned_volume_is_remarked_as_turned_slices_are(tmp_path, degrees, remarked, plane):
    i, j = plane
    turn = np.eye(4)
    turn[i, i] = turn[j, j] = np.cos(np.radians(degrees))
    turn[i, j], turn[j, i] = -np.sin(np.radians(degrees)), np.sin(np.radians(degrees))
    nibabel.save(nibabel.Nifti1Image(hu(), turn @ AFFINE), tmp_path / "v.nii")
    found = {note.code for note in read(tmp_path / "v.nii").warnings}
    assert ("W_OBLIQUE" in found) == remarked


def test_slices_that_are_turned_in_their_own_plane_are_remarked(tmp_path):
    cosines = (np.cos(0.5), np.sin(0.5), 0.0, -np.sin(0.5), np.cos(0.5), 0.0)
    study = read(write(tmp_path, phantom(cosines)), minimum_slices=1)
    assert [note.code for note in study.warnings].count("W_OBLIQUE") == 1
