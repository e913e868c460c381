"""What cannot be read rightly is refused, with its code, its place and a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from cascade.core.errors import InputError
from cascade.reading import candidates, read
from tests.analytic_dicom import AXIAL, ORIENTATIONS, assert_right, phantom, rotated, write


def refused(path, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        read(path, **{"minimum_slices": 1, **options})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(caught.value.code)
    assert "Jane" not in str(caught.value)
    return caught.value


def answer(path) -> str:
    try:
        return f"study {read(path, minimum_slices=1).id}"
    except InputError as error:
        return error.code


def codes(study) -> set[str]:
    return {note.code for note in study.warnings}


def even(count: int = 24) -> list[float]:
    return list((np.arange(count) - (count - 1) / 2) * 2.0)


def test_missing_slices_are_refused_with_their_count_and_place(tmp_path):
    places = even()
    del places[10:13]
    error = refused(write(tmp_path, phantom(places=places)))
    assert error.code == "E_MISSING_SLICES"
    assert "lacks 3 slices between z = 118.0 and 126.0 mm" in error.text


def test_equal_slices_stored_twice_are_kept_once(tmp_path):
    slices = phantom() + phantom(mutate=lambda ds, k: setattr(ds, "SOPInstanceUID", f"1.2.3.5.{k}"))
    study = read(write(tmp_path, slices), minimum_slices=1)
    assert "W_DUPLICATE_SLICES" in codes(study)
    assert study.hu.shape[0] == 24
    assert_right(study)


def test_different_slices_at_one_place_are_refused(tmp_path):
    slices = phantom()
    other = phantom(intercept=lambda k: -1000.0)[5]
    error = refused(write(tmp_path, [*slices, other]))
    assert error.code == "E_CONFLICTING_SLICES"
    assert "at 110.0 mm (files 6 and 25)" in error.text


@pytest.mark.parametrize("offset", [0.0, 1.0], ids=["same places", "interleaved"])
def test_two_acquisitions_are_never_mixed(tmp_path, offset):
    def second(ds, k):
        ds.AcquisitionNumber, ds.SOPInstanceUID = 2, f"1.2.3.9.{k}"

    first = phantom(tags={"AcquisitionNumber": 1})
    later = phantom(places=[p + offset for p in even()], mutate=second, intercept=lambda k: -1000.0)
    study = read(write(tmp_path, first + later), minimum_slices=1)
    assert "W_TWO_ACQUISITIONS" in codes(study)
    assert study.hu.shape[0] == 24
    assert_right(study)
    assert len(candidates(tmp_path)) == 2


def test_acquisitions_one_above_the_other_stay_one_volume(tmp_path):
    slices = phantom(mutate=lambda ds, k: setattr(ds, "AcquisitionNumber", 1 + k // 8))
    assert read(write(tmp_path, slices), minimum_slices=1).hu.shape[0] == 24


def test_phases_over_the_same_places_are_refused(tmp_path):
    slices = []
    for phase in range(3):
        tags = {"TemporalPositionIndex": phase}
        slices += phantom(tags=tags, mutate=lambda ds, k, p=phase: setattr(ds, "SOPInstanceUID", f"1.2.{p}.{k}"))
    assert refused(write(tmp_path, slices)).code == "E_TEMPORAL_SERIES"


def test_changing_spacing_is_refused_with_both_spacings(tmp_path):
    places = [*np.arange(-23, -3, 1.0), *np.arange(0, 24, 4.0)]
    error = refused(write(tmp_path, phantom(places=places)))
    assert error.code == "E_VARYING_SPACING"
    assert "1.00 mm" in error.text


@pytest.mark.parametrize("tilt", [15.0, -15.0])
def test_a_tilted_gantry_is_refused(tmp_path, tilt):
    error = refused(write(tmp_path, phantom(tilt=tilt)))
    assert error.code == "E_GANTRY_TILT"
    assert "15.0 degrees" in error.text


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_without_position_or_orientation_nothing_is_guessed(tmp_path, keyword):
    error = refused(write(tmp_path, phantom(mutate=lambda ds, k: delattr(ds, keyword))))
    assert error.code == "E_NO_GEOMETRY"
    assert keyword in error.text


def test_cosines_that_are_no_directions_are_refused(tmp_path):
    tags = {"ImageOrientationPatient": ["1", "0", "0", "0.5", "1", "0"]}
    assert refused(write(tmp_path, phantom(tags=tags))).code == "E_NO_GEOMETRY"


@pytest.mark.parametrize("spacing", [["0", "0"], ["-1", "1"], ["9", "9"]])
def test_impossible_pixel_spacing_is_refused(tmp_path, spacing):
    assert refused(write(tmp_path, phantom(tags={"PixelSpacing": spacing}))).code == "E_NO_GEOMETRY"


def test_two_patients_in_one_series_are_refused_without_names(tmp_path):
    def other(ds, k):
        if k >= 12:
            ds.PatientID, ds.PatientName = "P2", "Roe^Richard"

    error = refused(write(tmp_path, phantom(mutate=other)))
    assert error.code == "E_MIXED_PATIENTS"
    assert "Roe" not in str(error)
    assert "P2" not in str(error)


def test_files_without_preamble_are_read(tmp_path):
    for k, ds in enumerate(phantom()):
        path = tmp_path / f"{k}.dcm"
        ds.save_as(path, enforce_file_format=True)
        path.write_bytes(path.read_bytes()[132:])
    assert_right(read(tmp_path, minimum_slices=1))


@pytest.mark.parametrize("cut", [1000, 5000])
def test_one_truncated_file_refuses_its_series(tmp_path, cut):
    write(tmp_path, phantom())
    path = tmp_path / "007.dcm"
    path.write_bytes(path.read_bytes()[:-cut])
    error = refused(tmp_path)
    assert error.code == "E_TRUNCATED"
    assert "file 8" in error.text


@pytest.mark.parametrize("keep", [200, 500, 900, 4000])
def test_a_truncated_file_alone_is_refused_as_such(tmp_path, keep):
    write(tmp_path, phantom()[:1])
    path = tmp_path / "000.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    assert refused(path, minimum_slices=4).code == "E_TRUNCATED"
    assert refused(tmp_path, minimum_slices=4).code == "E_TRUNCATED"


def test_a_single_slice_is_refused_unless_allowed(tmp_path):
    path = write(tmp_path, phantom()[10:11]) / "000.dcm"
    assert refused(path, minimum_slices=4).code == "E_TOO_SMALL"
    study = read(path, minimum_slices=1)
    assert study.hu.shape == (1, 72, 80)
    assert "W_FEW_SLICES" in codes(study)


def test_a_tiny_field_of_view_is_refused_for_reading_a_chest(tmp_path):
    error = refused(write(tmp_path, phantom()), minimum_slices=4)
    assert error.code == "E_TOO_SMALL"
    assert "54 mm wide" in error.text
    assert "W_SMALL_FOV" in codes(read(tmp_path, minimum_slices=1))


def test_a_folder_without_dicom_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    error = refused(tmp_path)
    assert error.code == "E_NO_CT_SERIES"
    assert "not DICOM" in error.text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(empty).code == "E_NO_CT_SERIES"


def test_other_modalities_are_listed_and_not_read(tmp_path):
    error = refused(write(tmp_path, phantom(tags={"Modality": "MR"})))
    assert error.code == "E_NO_CT_SERIES"
    assert "not CT (MR)" in error.text


def test_a_localizer_alone_is_no_study(tmp_path):
    slices = phantom(ORIENTATIONS["coronal"], slices=2, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    error = refused(write(tmp_path, slices))
    assert error.code == "E_NO_CT_SERIES"
    assert "localizer" in error.text


def test_a_localizer_with_the_same_uid_does_not_bend_the_volume(tmp_path):
    scout = phantom(ORIENTATIONS["coronal"], slices=1, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    write(tmp_path, phantom())
    write(tmp_path / "scout", scout)
    assert_right(read(tmp_path, minimum_slices=1))


def test_missing_uids_are_read_with_a_warning_and_no_source(tmp_path):
    def without(ds, k):
        ds.StudyInstanceUID = ds.SeriesInstanceUID = ds.SOPInstanceUID = ""

    study = read(write(tmp_path, phantom(mutate=without)), minimum_slices=1)
    assert "W_MISSING_UID" in codes(study)
    assert study.source == ()
    assert_right(study)


def test_a_path_with_nothing_at_it_is_a_wrong_call(tmp_path):
    with pytest.raises(InputError, match="E_NOT_FOUND"):
        read(tmp_path / "nowhere")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"not a volume" * 100)
    assert refused(tmp_path / "scan.nii").code == "E_UNKNOWN_FORMAT"


def test_broken_bytes_end_in_a_code_and_nothing_else(tmp_path):
    """300 mutated files: each gives a study or a refusal, never another exception."""
    write(tmp_path / "seed", phantom(slices=1))
    seed = (tmp_path / "seed" / "000.dcm").read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / "broken.dcm"
    for _ in range(300):
        body = bytearray(seed)
        for at in rng.integers(0, 1200, rng.integers(1, 6)):
            body[at] = rng.integers(0, 256)
        path.write_bytes(bytes(body))
        assert answer(path).startswith(("study", "E_"))


def test_sequences_nested_too_deep_are_one_unread_file(tmp_path):
    head = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (tmp_path / "deep.dcm").write_bytes(head + item * 5000)
    assert refused(tmp_path / "deep.dcm").code.startswith("E_")


def test_a_huge_image_is_refused_before_any_memory_is_taken(tmp_path):
    write(tmp_path, phantom(slices=1, tags={"Rows": 65535, "Columns": 65535}))
    assert refused(tmp_path).code == "E_LIMIT"


def test_links_in_a_folder_are_not_followed(tmp_path):
    write(tmp_path / "ct", phantom())
    (tmp_path / "ct" / "again").symlink_to(tmp_path / "ct", target_is_directory=True)
    (tmp_path / "ct" / "link.dcm").symlink_to(tmp_path / "ct" / "000.dcm")
    assert "W_DUPLICATE_SLICES" not in codes(read(tmp_path / "ct", minimum_slices=1))


def test_cosines_may_differ_by_rounding(tmp_path):
    def rounding(ds, k):
        ds.ImageOrientationPatient = [str(v + 0.0004 * (k % 2)) for v in AXIAL[:1]] + ["0", "0", "0", "1", "0"]

    assert_right(read(write(tmp_path, phantom(mutate=rounding)), minimum_slices=1))


def test_an_untilted_oblique_scan_is_no_tilted_gantry(tmp_path):
    assert_right(read(write(tmp_path, phantom(rotated(-12))), minimum_slices=1))


def test_an_end_slice_without_pixels_refuses_its_series(tmp_path):
    slices = phantom()
    del slices[0].PixelData
    error = refused(write(tmp_path, slices))
    assert error.code == "E_TRUNCATED"
    assert "file 1" in error.text


def test_an_empty_file_at_an_end_does_not_shorten_the_study_without_a_word(tmp_path):
    write(tmp_path, phantom())
    (tmp_path / "000.dcm").write_bytes(b"")
    study = read(tmp_path, minimum_slices=1)
    assert study.hu.shape[0] == 23
    assert "W_DAMAGED_FILES" in codes(study)


def test_files_of_another_kind_are_no_damage(tmp_path):
    write(tmp_path, phantom())
    (tmp_path / "letter.txt").write_text("no pixels here")
    assert "W_DAMAGED_FILES" not in codes(read(tmp_path, minimum_slices=1))
