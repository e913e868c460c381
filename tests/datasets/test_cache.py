"""Prepared cases on disk: found again by what made them, bounded, never stale."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascade.core.errors import UsageError
from cascade.datasets import entries
from cascade.datasets.cache import _CODE, _ROOT, FOLDER, SIZE, key, prepared_case
from cascade.datasets.case import Case
from cascade.training.segmenter import prepared
from segmenters.embolus import EmbolusConfig
from tests.datasets.trees import nnunet, patient

STAGE = EmbolusConfig(pixel_mm=5.0, stride_mm=6.0, tile=(48, 64))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return nnunet(tmp_path / "data", {"one": patient(), "two": patient(clots=())})


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


def as_it_is(case: Case) -> Case:
    return case


def never(case: Case) -> Case:
    raise AssertionError("prepared again")


def test_a_segmenter_learns_from_the_same_cases_with_a_cache_and_without(data: Path, kept: Path, monkeypatch):
    first, second = prepared([data], STAGE), prepared([data], STAGE)
    assert len(list(kept.iterdir())) == 2
    monkeypatch.delenv(FOLDER)
    for one, two, three in zip(first, second, prepared([data], STAGE), strict=True):
        for other in (two, three):
            assert np.array_equal(one.study.hu, other.study.hu)
            assert np.array_equal(one.study.grid.affine, other.study.grid.affine)
            assert one.truth == other.truth
            assert (one.name, one.patient, one.kind) == (other.name, other.patient, other.kind)


def test_nothing_is_kept_unless_a_folder_was_named(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    prepared([data], STAGE)
    assert not (tmp_path / "home").exists()


def test_a_network_of_more_slices_has_no_cases_prepared_anew(data: Path, kept: Path):
    for stage in (STAGE, replace(STAGE, slices=15), replace(STAGE, tile=(64, 64))):
        prepared([data], stage)
    assert len(list(kept.iterdir())) == 2
    prepared([data], replace(STAGE, stride_mm=3.0))
    assert len(list(kept.iterdir())) == 4


def test_what_made_a_case_is_its_key(data: Path):
    one, two = entries(data)
    before = key(one, STAGE)
    assert key(one, STAGE) == before
    assert key(two, STAGE) != before
    assert key(one, EmbolusConfig(pixel_mm=6.0)) != before
    assert key(replace(one, patient="another"), STAGE) != before
    assert key(replace(one, read_as=("nifti", {"embolus": "another"})), STAGE) != before
    os.utime(one.files[1], ns=(0, 0))
    assert key(one, STAGE) != before


def test_a_case_is_not_prepared_twice(data: Path, kept: Path):
    entry = next(entries(data))
    prepared_case(entry, as_it_is, {})
    prepared_case(entry, never, {})


def test_a_damaged_file_is_made_again(data: Path, kept: Path):
    entry = next(entries(data))
    prepared_case(entry, as_it_is, {})
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert prepared_case(entry, as_it_is, {}).truth.mask().any()
    prepared_case(entry, never, {})


def test_those_not_used_for_longest_go_first(data: Path, kept: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = entries(data)
    prepared_case(one, as_it_is, 1)
    (first,) = kept.iterdir()
    size = first.stat().st_size
    prepared_case(two, as_it_is, 1)
    (second,) = set(kept.iterdir()) - {first}
    os.utime(first, (10, 10))
    os.utime(second, (20, 20))
    prepared_case(one, never, 1)  # used: now the newest
    monkeypatch.setenv(SIZE, str(2.5 * size / 1e9))
    prepared_case(two, as_it_is, 2)
    assert first.exists()
    assert not second.exists()
    assert len(list(kept.iterdir())) == 2


def test_what_a_killed_run_left_goes_when_it_is_old(data: Path, kept: Path):
    kept.mkdir()
    for name, age in (("old.part", 1), ("new.part", None)):
        (kept / name).write_text("half")
        if age is not None:
            os.utime(kept / name, (age, age))
    prepared_case(next(entries(data)), as_it_is, {})
    assert {path.suffix for path in kept.iterdir()} == {".case", ".part"}
    assert not (kept / "old.part").exists()


def test_a_size_that_is_no_number_is_refused(data: Path, kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SIZE, "much")
    with pytest.raises(UsageError, match="give a number of gigabytes"):
        prepared_case(next(entries(data)), as_it_is, {})


def test_a_full_disk_under_the_cache_is_said_in_a_sentence_and_leaves_no_half_a_case(data: Path, kept: Path):
    (entry, *_) = entries(data)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(UsageError, match=r"E_CACHE: PE_CASCADE_CASES .* cannot be written .* make room"):
            prepared_case(entry, as_it_is, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(kept.iterdir())


def test_the_code_that_makes_a_case_is_where_the_cache_looks_for_it():
    assert all(list(_ROOT.glob(pattern)) for pattern in _CODE)
