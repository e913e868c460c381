"""Where slices lie: order, orientation and spacing come from positions and cosines alone."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cascade.core.grid import Grid, Order
from cascade.reading import from_array, read
from tests.analytic_dicom import ORIENTATIONS, assert_right, dataset, phantom, rotated, write

ORDERS = st.tuples(st.permutations((0, 1, 2)), st.tuples(st.booleans(), st.booleans(), st.booleans()))


@pytest.mark.parametrize("spacing", [(2.0, 0.75, 0.75), (1.0, 0.8, 0.7), (2.5, 0.6, 0.9)], ids=str)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_markers_lie_right_in_every_orientation_and_spacing(tmp_path, orientation, spacing):
    slices = 24 if spacing[0] >= 2 else 48
    write(tmp_path, phantom(ORIENTATIONS[orientation], slices=slices, spacing=spacing))
    assert_right(read(tmp_path, minimum_slices=1))


def test_slices_are_ordered_by_position_not_by_file_name(tmp_path):
    slices = phantom()
    random.Random(3).shuffle(slices)
    study = read(write(tmp_path, slices), minimum_slices=1)
    assert_right(study)
    assert study.source == tuple(f"1.2.3.4.{k + 1}" for k in range(24))


def test_instance_numbers_are_not_believed(tmp_path):
    def shuffle(ds, k):
        ds.InstanceNumber = (k * 7) % 24

    assert_right(read(write(tmp_path, phantom(mutate=shuffle)), minimum_slices=1))


def test_spacing_tags_are_not_believed(tmp_path):
    tags = {"SliceThickness": "9", "SpacingBetweenSlices": "9", "SliceLocation": "0"}
    study = read(write(tmp_path, phantom(tags=tags)), minimum_slices=1)
    assert study.grid.spacing[0] == pytest.approx(2.0, abs=1e-6)
    assert study.facts["thickness_mm"] == 9


def test_rows_and_columns_keep_their_own_spacing(tmp_path):
    study = read(write(tmp_path, phantom(spacing=(2.0, 0.75, 0.6))), minimum_slices=1)
    assert study.grid.spacing == pytest.approx((2.0, 0.75, 0.6))
    assert_right(study)


def test_positions_rounded_by_an_exporter_are_no_gap(tmp_path):
    places = np.round((np.arange(24) - 11.5) * 2.0 + random.Random(1).uniform(-0.004, 0.004), 2)
    assert_right(read(write(tmp_path, phantom(places=places)), minimum_slices=1))


def test_an_oblique_volume_keeps_its_angle_and_says_so(tmp_path):
    study = read(write(tmp_path, phantom(rotated(20))), minimum_slices=1)
    assert "W_OBLIQUE" in {note.code for note in study.warnings}
    assert abs(study.grid.affine[1, 0]) == pytest.approx(2.0 * np.sin(np.radians(20)), abs=1e-5)


def test_nested_folders_and_any_names_are_read(tmp_path):
    write(tmp_path, phantom(), names=lambda k: f"a/{k % 3}/file with space {k}" if k % 2 else f"b/IM{k}.jpg")
    assert_right(read(tmp_path, minimum_slices=1))


def test_a_mask_returns_to_the_order_of_the_slices(tmp_path):
    study = read(write(tmp_path, phantom(ORIENTATIONS["prone"])), minimum_slices=1)
    source = study.grid.to_source(study.hu)
    stored = phantom(ORIENTATIONS["prone"])
    for plane, ds in zip(source, stored, strict=True):
        assert np.array_equal(plane, np.frombuffer(ds.PixelData, "<i2").reshape(72, 80) - 1024)


def test_the_volume_is_contiguous_whatever_the_source(tmp_path):
    for name in ("sagittal", "prone"):
        study = read(write(tmp_path / name, phantom(ORIENTATIONS[name])), minimum_slices=1)
        assert study.hu.flags.c_contiguous


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=ORDERS)
def test_the_same_anatomy_stored_in_any_order_is_the_same_study(tmp_path_factory, order):
    """Law 4 for reading: flipped, transposed, reversed, as DICOM, NIfTI, NRRD or array."""
    folder = tmp_path_factory.mktemp("law4")
    study, grid = _small()
    stored = Grid(grid.shape, grid.affine, Order(tuple(order[0]), order[1]))
    source, affine = stored.to_source(study.hu), stored.source_affine
    others = [
        read(_as_dicom(folder / "ct", source, affine), minimum_slices=1),
        read(_as_nifti(folder / "ct.nii.gz", source, affine)),
        read(_as_nrrd(folder / "ct.nrrd", source, affine)),
        from_array(source, affine),
    ]
    for other in others:
        assert np.array_equal(other.hu, study.hu)
        assert np.allclose(other.grid.affine, grid.affine, atol=1e-4)
        assert np.array_equal(other.grid.to_source(other.hu).shape, other.grid.source_shape)


def _small():
    rng = np.random.default_rng(5)
    hu = rng.integers(-1000, 1500, (5, 6, 7)).astype(np.int16)
    grid = Grid.simple((5, 6, 7), (2.5, 0.75, 0.5), (-20.0, 11.0, 105.0))
    return from_array(hu, grid.affine), grid


def _as_dicom(folder: Path, source, affine) -> Path:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = [*(affine[:3, 2] / lengths[2]), *(affine[:3, 1] / lengths[1])]
    slices = []
    for k, plane in enumerate(source):
        place = affine[:3, 3] + k * affine[:3, 0]
        slices.append(dataset(plane, k, place, cosines, (lengths[1], lengths[2])))
        slices[-1].RescaleSlope, slices[-1].RescaleIntercept = "1", "0"
    return write(folder, slices)


def _as_nifti(path: Path, source, affine) -> Path:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(source, np.diag([-1, -1, 1, 1]) @ affine), path)
    return path


def _as_nrrd(path: Path, source, affine) -> Path:
    import nrrd

    header = {
        "space": "left-posterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
    }
    nrrd.write(str(path), source, header, index_order="F")
    return path
