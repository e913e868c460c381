"""Several series in one folder: one is chosen, and everyone can see why."""

from __future__ import annotations

import pytest

from cascade.core.errors import InputError, UsageError
from cascade.reading import candidates, read
from tests.analytic_dicom import ORIENTATIONS, phantom, write


def series(number: int, cosines=ORIENTATIONS["axial"], **options):
    tags = {"SeriesNumber": number, "SeriesInstanceUID": f"1.2.8.{number}", **options.pop("tags", {})}

    def own_uid(ds, k):
        ds.SOPInstanceUID = f"1.2.9.{number}.{k}"

    return phantom(cosines, tags=tags, mutate=own_uid, **options)


@pytest.fixture
def several(tmp_path):
    write(tmp_path / "a", series(2, tags={"ConvolutionKernel": "B80f", "SeriesDescription": "LUNG Doe Jane"}))
    write(tmp_path / "b", series(3, tags={"ConvolutionKernel": "B30f", "ContrastBolusAgent": "Jane's line"}))
    write(tmp_path / "c", series(5, ORIENTATIONS["coronal"], tags={"ImageType": ["DERIVED", "SECONDARY", "MPR"]}))
    write(tmp_path / "d", series(7, tags={"Modality": "PT"}))
    write(tmp_path / "e", series(8, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}))
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


def test_the_contrast_series_with_a_soft_kernel_is_chosen(several):
    study = read(several, minimum_slices=1)
    assert study.facts["series"]["number"] == 3
    assert "of 100 points" in study.facts["series"]["why_chosen"]


def test_every_candidate_has_its_reason(several):
    table = {row.number: row.reason for row in candidates(several)}
    assert table[7] == "not CT (PT)"
    assert table[8] == "localizer"
    assert table[5] == "derived view"
    assert set(table) == {2, 3, 5, 7, 8}


def test_the_table_reaches_the_study_and_holds_no_free_text(several):
    facts = read(several, minimum_slices=1).facts
    assert {row["series"] for row in facts["candidates"]} == {2, 3, 5, 7, 8}
    assert facts["contrast_agent"] is True
    assert "Jane" not in str(facts)


@pytest.mark.parametrize("asked", [2, "2", "1.2.8.2", "lung doe jane"])
def test_a_series_can_be_asked_for_by_number_uid_or_description(several, asked):
    study = read(several, asked, minimum_slices=1)
    assert study.facts["series"] == {"number": 2, "why_chosen": "asked for"}


def test_asking_overrides_the_table_of_rejects(several):
    assert read(several, 5, minimum_slices=1).facts["series"]["number"] == 5


def test_an_unknown_series_is_answered_with_the_known_ones(several):
    with pytest.raises(UsageError, match=r"E_NO_SUCH_SERIES.*2, 3, 5, 7, 8"):
        read(several, 9)


def test_one_series_that_cannot_be_read_leaves_the_others(tmp_path):
    good = series(2)
    broken = series(3, tags={"ContrastBolusAgent": "YES"})
    del broken[9:12]
    write(tmp_path / "a", good)
    write(tmp_path / "b", broken)
    assert read(tmp_path, minimum_slices=1).facts["series"]["number"] == 2
    reasons = {row.number: row.reason for row in candidates(tmp_path)}
    assert reasons[3].startswith("E_")


def test_a_close_call_goes_to_the_brighter_series(tmp_path):
    def bright(ds, k):
        ds.SOPInstanceUID = f"1.2.7.{k}"
        ds.RescaleIntercept = "-724" if 8 < k < 16 else "-1024"

    tags = {"SeriesNumber": 6, "SeriesInstanceUID": "1.2.8.6"}
    write(tmp_path / "a", series(4))
    write(tmp_path / "b", phantom(tags=tags, mutate=bright))
    assert read(tmp_path, minimum_slices=1).facts["series"]["number"] == 6


def test_the_choice_does_not_depend_on_names_or_order(tmp_path):
    for name, first, second in (("x", 4, 6), ("y", 6, 4)):
        write(tmp_path / name / "a", series(first))
        write(tmp_path / name / "b", series(second))
    one, other = (read(tmp_path / name, minimum_slices=1) for name in "xy")
    assert one.facts["series"] == other.facts["series"]
    assert one.source == other.source


def test_a_folder_of_several_patients_is_not_answered_for_one_of_them(tmp_path):
    write(tmp_path / "a", series(2))
    write(tmp_path / "b", series(2, tags={"PatientID": "P2", "SeriesInstanceUID": "1.2.8.77"}))
    for asked in (None, 2):
        with pytest.raises(InputError, match="E_MIXED_PATIENTS: the folder holds CT of 2 patients") as caught:
            read(tmp_path, asked, minimum_slices=1)
        assert "P2" not in str(caught.value)
    assert read(tmp_path, "1.2.8.77", minimum_slices=1).facts["series"]["number"] == 2


def test_a_name_written_in_two_ways_is_one_patient(tmp_path):
    write(tmp_path / "a", series(2))
    write(tmp_path / "b", series(3, tags={"PatientName": "DOE^JANE^^"}))
    assert read(tmp_path, minimum_slices=1).warnings == read(tmp_path / "a", minimum_slices=1).warnings


def test_two_examinations_of_a_patient_are_remarked(tmp_path):
    write(tmp_path / "a", series(2))
    write(tmp_path / "b", series(3, tags={"StudyInstanceUID": "1.2.3.9"}))
    assert "W_SEVERAL_STUDIES" in {note.code for note in read(tmp_path, minimum_slices=1).warnings}
