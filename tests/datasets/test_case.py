"""Cases on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.core.errors import InputError
from cascade.core.findings import Slices
from cascade.datasets.case import Case
from tests.strategies import chest

BEFORE = Path(__file__).parent / "format1.case"


def test_a_case_comes_back_with_the_names_of_those_who_scored_its_slices(tmp_path: Path) -> None:
    study, truth = chest()
    assert truth.slices is not None
    one = Case("one", "patient", "labelled", study, truth)
    for slices in (truth.slices, truth.slices.with_pe("reader", truth.slices.lung), Slices.unknown(80), None):
        case = replace(one, truth=replace(truth, slices=slices))
        case.save(tmp_path / "one.case")
        back = Case.load(tmp_path / "one.case")
        assert back.truth == case.truth
        assert np.array_equal(back.study.hu, study.hu)
        if slices is not None and back.truth.slices is not None:
            assert list(back.truth.slices.pe) == list(slices.pe)


def test_a_case_of_an_earlier_format_is_read() -> None:
    case = Case.load(BEFORE)
    assert (case.name, case.patient, case.kind) == ("one", "patient", "labelled")
    assert case.truth.mask().sum() == 30
    assert case.truth.slices is not None
    assert list(case.truth.slices.pe) == ["lung_filter", "siamese"]
    assert case.truth.slices.pe["siamese"] == pytest.approx([0.9, 0.74, 0.58, 0.42, 0.26, np.nan], nan_ok=True)


def test_a_case_of_a_format_from_elsewhere_is_refused(tmp_path: Path) -> None:
    blob = BEFORE.read_bytes().replace(b"pe-cascade case 1", b"pe-cascade case 9")
    (tmp_path / "one.case").write_bytes(blob)
    with pytest.raises(InputError, match="E_NOT_A_CASE"):
        Case.load(tmp_path / "one.case")


@pytest.mark.parametrize("content", [b"", b"no case", BEFORE.read_bytes()[:-50]])
def test_a_file_that_is_no_case_ended_in_an_error_of_the_library(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "one.case").write_bytes(content)
    with pytest.raises(InputError, match=r"E_NOT_A_CASE: one\.case is damaged"):
        Case.load(tmp_path / "one.case")
