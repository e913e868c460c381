"""findings.json and the maps beside it: what is saved is what is read."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Exam, Findings, Slices
from cascade.core.grid import Grid, Order
from cascade.writing import load_findings, rounded, save
from tests.writing.answers import ORDERS, answer, findings, study, truth

ALL = ("json", "nifti", "csv", "probability")
GOLDEN = Path(__file__).parent / "golden" / "findings.json"
BEFORE = Path(__file__).parent / "format1"
SCHEMA = json.loads((files("cascade.writing") / "findings.schema.json").read_text())


@settings(max_examples=40, deadline=None)
@given(f=findings())
def test_load_undoes_save(tmp_path_factory, f):
    folder = tmp_path_factory.mktemp("f")
    save(f, folder, ALL)
    assert load_findings(folder) == rounded(f)
    shutil.rmtree(folder)


@settings(max_examples=25, deadline=None)
@given(f=findings())
def test_every_file_keeps_the_schema(tmp_path_factory, f):
    folder = tmp_path_factory.mktemp("f")
    save(f, folder, ("json",))
    jsonschema.validate(json.loads((folder / "findings.json").read_text()), SCHEMA)


@given(f=findings())
def test_rounding_twice_is_rounding_once(f):
    assert rounded(rounded(f)) == rounded(f)


def test_truth_comes_back_exactly(tmp_path):
    save(truth(), tmp_path, ("json", "nifti", "probability"))
    assert load_findings(tmp_path) == truth()


def test_truth_needs_no_probability_file_for_its_emboli(tmp_path):
    save(truth(), tmp_path, ("json", "nifti"))
    back = load_findings(tmp_path)
    assert np.array_equal(back.mask(), truth().mask())
    assert np.array_equal(back.lesion_mask(), truth().lesion_mask())
    assert back.arteries is None


def test_what_nobody_knows_stays_unknown(tmp_path):
    nothing = Findings(study().grid)
    save(nothing, tmp_path)
    assert load_findings(tmp_path) == nothing


def test_doors_on_findings_lead_here(tmp_path):
    save(answer(), tmp_path, ALL)
    assert load_findings(tmp_path) == rounded(answer())


def test_the_golden_file_is_what_is_written(tmp_path):
    """To write it anew: make golden. The diff is read like code."""
    save(answer(), tmp_path, ALL)
    assert (tmp_path / "findings.json").read_text() == GOLDEN.read_text()


def test_the_same_findings_give_the_same_bytes(tmp_path):
    for name in "ab":
        save(answer(), tmp_path / name, ALL)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_probabilities_have_six_decimals_and_nan_is_null(tmp_path):
    scores = np.full(6, 1 / 3, np.float32)
    scores[2] = np.nan
    save(answer(slices=Slices(scores, {"siamese": scores})), tmp_path)
    text = (tmp_path / "findings.json").read_text()
    assert "NaN" not in text
    rows = json.loads(text)["slices"]
    assert rows[0]["lung"] == 0.333333
    assert rows[2]["lung"] is None


def test_lesions_are_sorted_by_probability_then_volume(tmp_path):
    one, two = answer().lesions
    save(answer(lesions=(two, one)), tmp_path)
    assert [lesion.number for lesion in load_findings(tmp_path).lesions] == [1, 2]


def test_an_abstention_has_no_probability(tmp_path):
    save(answer(exam=Exam("abstain", None, None, "too few slices")), tmp_path)
    assert json.loads((tmp_path / "findings.json").read_text())["exam"]["probability"] is None


@given(order=ORDERS)
@settings(max_examples=15, deadline=None)
def test_the_mask_lies_on_the_grid_of_the_source(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("m")
    f = answer(study(order).grid)
    save(f, folder)
    image = nibabel.load(folder / "embolus.nii.gz")
    values = np.asarray(image.dataobj)
    assert values.shape == f.grid.source_shape[::-1]
    for number in (1, 2):
        ours = f.grid.to_mm(np.argwhere(f.lesion_mask() == number)).mean(axis=0)
        index = np.argwhere(values == number).mean(axis=0)
        ras = image.affine[:3, :3] @ index + image.affine[:3, 3]
        assert np.allclose(ras * (-1, -1, 1), ours, atol=1e-3)


def test_no_lesion_is_an_empty_mask(tmp_path):
    save(answer(labels=None, embolus=None, lesions=()), tmp_path)
    assert not np.asarray(nibabel.load(tmp_path / "embolus.nii.gz").dataobj).any()


def test_slices_are_numbered_as_in_the_source(tmp_path):
    upside_down = study(Order((0, 1, 2), (True, False, False))).grid
    save(answer(upside_down), tmp_path)
    rows = list(csv.DictReader((tmp_path / "slices.csv").read_text().splitlines()))
    assert [int(row["slice"]) for row in rows] == [5, 4, 3, 2, 1, 0]
    assert [float(row["z_mm"]) for row in rows] == sorted(float(row["z_mm"]) for row in rows)
    lesion = next(csv.DictReader((tmp_path / "lesions.csv").read_text().splitlines()))
    assert (lesion["slice_first"], lesion["slice_last"]) == ("2", "3")


def test_tables_have_the_columns_of_the_format(tmp_path):
    save(answer(), tmp_path)
    head = (tmp_path / "slices.csv").read_text().splitlines()[0]
    assert head == "study,slice,z_mm,lung,pe_lung_filter,pe_siamese,in_region,embolus_mm3"
    head = (tmp_path / "lesions.csv").read_text().splitlines()[0]
    assert head.startswith(
        "study,lesion,side,place,volume_mm3,probability_max,probability_mean,x_mm,y_mm,z_mm,"
        "slice_first,slice_last,disagreement"
    )
    volume = sum(
        float(row["embolus_mm3"]) for row in csv.DictReader((tmp_path / "slices.csv").read_text().splitlines())
    )
    assert volume == pytest.approx(30 * study().grid.voxel_mm3)


def test_a_text_that_a_spreadsheet_would_run_is_defused(tmp_path):
    lesion = answer().lesions[0].__class__(1, 1, 1.0, 0.5, 0.5, 0.5, (0.0, 0.0, 0.0), (0, 0), "left", place="=1+1")
    save(answer(lesions=(lesion,)), tmp_path)
    assert ",'=1+1," in (tmp_path / "lesions.csv").read_text()


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'nifti'"):
        save(answer(), tmp_path, ("json", "nifty"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["missing json", "not json", "other format", "missing map", "missing key"])
def test_damaged_findings_are_refused_in_one_sentence(tmp_path, damage):
    save(answer(), tmp_path, ALL)
    path = tmp_path / "findings.json"
    if damage == "missing json":
        path.unlink()
    elif damage == "missing map":
        (tmp_path / "embolus.nii.gz").unlink()
    elif damage == "not json":
        path.write_text("{")
    elif damage == "other format":
        path.write_text(path.read_text().replace("findings 2", "findings 9"))
    else:
        record = json.loads(path.read_text())
        del record["lesions"]
        path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="E_FINDINGS"):
        load_findings(tmp_path)


def test_findings_of_format_1_are_read_under_the_names_of_today():
    back = load_findings(BEFORE)
    expected = rounded(answer())
    assert [c.input for c in back.exam.contributions] == ["lesion", "lung_filter", "siamese"]
    assert replace(back, exam=expected.exam) == expected


def test_a_column_without_any_score_in_format_1_was_no_stages(tmp_path):
    shutil.copytree(BEFORE, tmp_path, dirs_exist_ok=True)
    record = json.loads((tmp_path / "findings.json").read_text())
    for row in record["slices"]:
        row["pe_siamese"] = None
    (tmp_path / "findings.json").write_text(json.dumps(record))
    assert list(load_findings(tmp_path).slices.pe) == ["lung_filter"]


def test_damaged_findings_of_format_1_are_refused_in_one_sentence(tmp_path):
    shutil.copytree(BEFORE, tmp_path, dirs_exist_ok=True)
    whole = json.loads((tmp_path / "findings.json").read_text())
    for change in ({"slices": [{"slice": 0}]}, {"maps": {}}, {"exam": []}, {"slices": [1]}):
        (tmp_path / "findings.json").write_text(json.dumps(whole | change))
        with pytest.raises(InputError, match=r"E_FINDINGS: findings\.json is damaged"):
            load_findings(tmp_path)


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.from_regex("[a-z][a-z0-9_]{0,12}", fullmatch=True), max_size=4, unique=True))
def test_every_stage_that_scores_slices_has_a_column_of_its_name(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("s")
    scores = np.linspace(0, 1, 6).astype(np.float32)
    given = answer(slices=Slices(scores, dict.fromkeys(names, scores)))
    save(given, folder, ALL)
    jsonschema.validate(json.loads((folder / "findings.json").read_text()), SCHEMA)
    head = (folder / "slices.csv").read_text().splitlines()[0].split(",")
    assert head == ["study", "slice", "z_mm", "lung", *(f"pe_{n}" for n in names), "in_region", "embolus_mm3"]
    assert load_findings(folder) == rounded(given)
    assert list(load_findings(folder).slices.pe) == names


def test_a_map_of_another_study_is_refused(tmp_path):
    save(answer(), tmp_path, ALL)
    save(answer(study(Order((1, 0, 2))).grid), tmp_path / "other", ALL)
    shutil.copy(tmp_path / "other" / "embolus.nii.gz", tmp_path / "embolus.nii.gz")
    with pytest.raises(InputError, match="different studies"):
        load_findings(tmp_path)


def test_a_map_of_another_place_is_refused(tmp_path):
    save(answer(), tmp_path, ALL)
    moved = study().grid.affine.copy()
    moved[0, 3] += 40
    save(answer(Grid(study().grid.shape, moved)), tmp_path / "other", ALL)
    shutil.copy(tmp_path / "other" / "embolus.nii.gz", tmp_path / "embolus.nii.gz")
    with pytest.raises(InputError, match="different studies"):
        load_findings(tmp_path)


@pytest.mark.parametrize(
    ("part", "value"), [("quality", [1]), ("study", None), ("lungs", 5), ("slices", "x"), ("maps", []), ("grid", {})]
)
def test_findings_of_another_form_are_refused_in_one_sentence(tmp_path, part, value):
    save(answer(), tmp_path, ALL)
    path = tmp_path / "findings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), part: value}))
    with pytest.raises(InputError, match="E_FINDINGS"):
        load_findings(tmp_path)


def test_a_map_whose_box_leaves_the_grid_is_refused(tmp_path):
    save(answer(), tmp_path, ALL)
    path = tmp_path / "findings.json"
    record = json.loads(path.read_text())
    record["maps"]["embolus"]["box"]["z1"] = 99
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="leaves the grid"):
        load_findings(tmp_path)


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("maps", lambda maps: maps["std"]["box"].update(x0=-2), "the box of std leaves the grid"),
        ("maps", lambda maps: maps["labels"]["box"].update(z0=4, z1=2), "the box of labels leaves the grid"),
        ("lungs", lambda lungs: lungs["region"].update(y1=99), "the box of lungs leaves the grid"),
        ("lungs", lambda lungs: lungs["boxes"][0].update(z=-1), "a lung box stands on a slice"),
        ("slices", lambda rows: rows[1].update(slice=-1), "slices are not numbered 0 to 5"),
        ("slices", lambda rows: rows.pop(), "slices are not numbered 0 to 5"),
        ("lesions", lambda lesions: lesions[0].update(slices=[2, 9]), "lesion 1 lies on slices"),
        ("lesions", lambda lesions: lesions[0].update(number=2), "two lesions have one number"),
        ("lesions", lambda lesions: lesions[0].update(number=7), r"embolus\.nii\.gz holds lesion 1"),
        ("lesions", lambda lesions: lesions.append({**lesions[0], "number": 3}), r"embolus\.nii\.gz lacks lesion 3"),
        ("grid", lambda grid: grid.update(shape=[0, 16, 20]), "voxels is none"),
    ],
)
def test_findings_that_contradict_themselves_were_read(tmp_path, part, change, sentence):
    save(answer(), tmp_path, ALL)
    path = tmp_path / "findings.json"
    record = json.loads(path.read_text())
    change(record[part])
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"^E_FINDINGS: (findings\.json is damaged \(ValueError: )?.*{sentence}"):
        load_findings(tmp_path)


@given(values=st.lists(st.floats(0, 512, width=32), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_boxes_come_back_bit_for_bit(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("b")
    f = answer()
    f.lungs.boxes[1, 0] = values
    save(f, folder, ("json",))
    assert np.array_equal(load_findings(folder).lungs.boxes, f.lungs.boxes, equal_nan=True)
