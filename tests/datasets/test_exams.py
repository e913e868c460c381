"""Data sets that label exams and slices: what is known, and what stays unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascade.core.errors import InputError
from cascade.core.truth import KNOWN
from cascade.datasets import open_cases
from classifiers import LungFilter
from tests.datasets.trees import nifti, patient, rsna, rsna_table, table


def test_rsna_slices_go_by_position_and_unknown_exams_stay_unknown(tmp_path: Path):
    sops = rsna(tmp_path, "aaa", central_pe=1, rightsided_pe=1, rv_lv_ratio_lt_1=1)
    rsna(tmp_path, "bbb", negative_exam_for_pe=1)
    rsna(tmp_path, "ccc", indeterminate=1)
    positive, negative, unknown = open_cases(tmp_path)
    assert positive.study.source == tuple(sops)
    assert positive.truth.slices is not None
    np.testing.assert_array_equal(positive.truth.slices.pe[KNOWN], patient()[1].mask().any(axis=(1, 2)))
    assert positive.truth.exam is not None
    assert positive.truth.exam.decision == "positive"
    assert positive.truth.exam.labels is not None
    assert positive.truth.exam.labels["central_pe"] == 1
    assert len(positive.truth.exam.labels) == 9
    assert positive.truth.embolus is None, "where on the slice it lies nobody drew"
    assert negative.truth.exam is not None
    assert negative.truth.exam.decision == "negative"
    assert negative.truth.embolus is not None
    assert not negative.truth.mask().any()
    assert unknown.truth.exam is not None
    assert unknown.truth.exam.decision == "abstain"
    assert unknown.truth.slices is None
    assert unknown.truth.embolus is None
    stage = LungFilter()
    patch = stage.patches(unknown.study, unknown.truth)[0]
    assert np.isnan(stage.target(unknown.study, unknown.truth, patch)[1])
    assert [case.patient for case in (positive, negative, unknown)] == ["aaa", "bbb", "ccc"]


def test_rsna_rows_that_contradict_each_other_name_the_exam(tmp_path: Path):
    rsna(tmp_path, "aaa", central_pe=1)
    rsna_table(tmp_path / "train.csv", "aaa", "ab12", {"one more": 0}, central_pe=0)
    with pytest.raises(InputError, match=r"E_TABLE: .*different things of study aaa"):
        list(open_cases(tmp_path))


def test_rsna_exams_that_were_not_fetched_are_refused_unless_told(tmp_path: Path):
    rsna(tmp_path, "aaa", negative_exam_for_pe=1)
    rsna_table(tmp_path / "train.csv", "bbb", "cd34", {"x": 0}, negative_exam_for_pe=1)
    with pytest.raises(InputError, match=r"train/bbb/cd34: .*missing: skip"):
        list(open_cases(tmp_path))
    (tmp_path / "dataset.yaml").write_text("options: {missing: skip}\n")
    assert [case.name for case in open_cases(tmp_path)] == ["aaa"]


def test_inspect_takes_its_table_and_columns_from_the_description(tmp_path: Path):
    study, _ = patient()
    for name in ("i1", "i2", "i3"):
        nifti(tmp_path / "CTPA" / f"{name}.nii.gz", study.hu, study.grid)
    lines = [("i1", "p1", "True", "train"), ("i2.nii.gz", "p1", "False", "train"), ("i3", "p2", "Censored", "train")]
    table(tmp_path / "labels.csv", ("image", "person", "pe", "split"), [*lines, ("i9", "p9", "True", "test")])
    columns = "image: image, patient: person, label: pe"
    options = f"{{table: labels.csv, images: CTPA, {columns}, split: train}}"
    (tmp_path / "dataset.yaml").write_text(f"layout: inspect\noptions: {options}\n")
    cases = list(open_cases(tmp_path))
    assert [(c.name, c.patient, c.truth.exam and c.truth.exam.decision) for c in cases] == [
        ("i1", "p1", "positive"),
        ("i2", "p1", "negative"),
        ("i3", "p2", None),
    ]
    assert all(c.truth.embolus is None and c.truth.slices is None for c in cases)
