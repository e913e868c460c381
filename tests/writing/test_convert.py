"""Volume to DICOM slices and back: HU and geometry return exactly."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.reading import from_array, read
from cascade.writing import write_dicom, write_nifti
from cascade.writing.dicom import decimal
from tests.analytic_dicom import assert_right, phantom, rotated, write
from tests.writing.answers import ORDERS, study


def random_study(grid: Grid) -> Study:
    hu = np.random.default_rng(1).integers(-1024, 3071, grid.shape).astype(np.int16)
    return Study(hu, grid, {"kernel": "B30f", "kvp": 120.0, "contrast_agent": True, "thickness_mm": 1.25})


def test_dicom_slices_return_exactly(tmp_path):
    original = random_study(Grid.simple((6, 16, 20), (2.5, 0.673828, 0.7), (-149.6, -172.5, -938.400024)))
    write_dicom(original, tmp_path)
    back = read(tmp_path, minimum_slices=1)
    assert np.array_equal(back.hu, original.hu)
    assert np.allclose(back.grid.affine, original.grid.affine, rtol=0, atol=1e-9)
    assert back.id == original.id
    assert back.source == tuple(str(pydicom.dcmread(p).SOPInstanceUID) for p in sorted(tmp_path.iterdir()))


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@given(order=ORDERS)
@settings(max_examples=10, deadline=None)
def test_nifti_returns_in_the_order_of_its_source(tmp_path_factory, name, order):
    folder = tmp_path_factory.mktemp("n")
    original = random_study(study(order).grid)
    write_nifti(original, folder / name)
    back = read(folder / name)
    assert np.array_equal(back.hu, original.hu)
    assert back.grid.order == original.grid.order
    assert np.allclose(back.grid.affine, original.grid.affine, atol=1e-4)
    shutil.rmtree(folder)


def test_dicom_to_nifti_to_dicom_keeps_the_patient(tmp_path):
    first = read(write(tmp_path / "a", phantom()), minimum_slices=1)
    write_nifti(first, tmp_path / "b.nii.gz")
    write_dicom(read(tmp_path / "b.nii.gz"), tmp_path / "c")
    last = read(tmp_path / "c", minimum_slices=1)
    assert_right(last)
    assert np.array_equal(first.hu, last.hu)


def test_an_oblique_volume_keeps_its_angle(tmp_path):
    first = read(write(tmp_path / "a", phantom(rotated(20))), minimum_slices=1)
    write_dicom(first, tmp_path / "b")
    last = read(tmp_path / "b", minimum_slices=1)
    assert np.allclose(first.grid.affine, last.grid.affine, atol=1e-6)
    assert_right(last)


def test_uids_are_valid_fresh_and_the_same_each_time(tmp_path):
    original = random_study(study().grid)
    for name in "ab":
        write_dicom(original, tmp_path / name)
    other = Study((original.hu // 2).astype(np.int16), original.grid)
    write_dicom(other, tmp_path / "c")
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        ds = pydicom.dcmread(path)
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
            assert ds[keyword].value.is_valid
        assert ds.SeriesInstanceUID != pydicom.dcmread(tmp_path / "c" / path.name).SeriesInstanceUID
    uids = {str(pydicom.dcmread(p).SOPInstanceUID) for p in (tmp_path / "a").iterdir()}
    assert len(uids) == 6


def test_written_slices_hold_no_patient(tmp_path):
    ds = pydicom.dcmread(write_dicom(random_study(study().grid), tmp_path)[0])
    assert ds.PatientName == ""
    assert (ds.ConvolutionKernel, float(ds.KVP), ds.ContrastBolusAgent) == ("B30f", 120.0, "YES")


def test_facts_survive_the_way(tmp_path):
    write_dicom(random_study(study().grid), tmp_path)
    facts = read(tmp_path, minimum_slices=1).facts
    assert (facts["kernel"], facts["kvp"], facts["contrast_agent"], facts["thickness_mm"]) == ("B30f", 120, True, 1.25)


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_decimal_strings_fit_and_are_near(value):
    text = decimal(value)
    assert len(text) <= 16
    assert abs(float(text) - value) <= max(abs(value), 1e-3) * 1e-8


def test_an_array_can_be_converted(tmp_path):
    original = from_array(np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.float32) - 1000, spacing=(3, 0.5, 0.5))
    write_dicom(original, tmp_path)
    assert np.array_equal(read(tmp_path, minimum_slices=1).hu, original.hu)
