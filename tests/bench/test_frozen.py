from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cascade.bench.frozen import FrozenSet
from cascade.core.errors import InputError

QUICK = 12008
"""A seed of few slices."""
SET: dict[str, Any] = {"name": "small", "split": "test", "seeds": {"positive": [0, 2], "negative": [10, 12]}}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "set.yaml"
    path.write_text(yaml.safe_dump({**SET, **changes}))
    return path


def test_a_set_takes_its_seeds_in_turn(tmp_path: Path):
    assert FrozenSet.load(written(tmp_path)).seeds == (0, 10, 1, 11)
    assert FrozenSet.load(written(tmp_path, seeds={"positive": [0, 2]})).seeds == (0, 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"config": {"slice_mmm": [1.0]}}, "config.slice_mmm is unknown; did you mean 'slice_mm'"),
        ({"config": {"slice_mm": "thin"}}, "config.slice_mm must be"),
        ({"config": {"crop": 2.0}}, "simulation.crop is 2; it must be from 0 to 1"),
        ({"config": [1]}, "config must be"),
        ({"name": 5}, "name must be str, got 5"),
        ({"split": None}, "split must be str, got None"),
        ({"seeds": 5}, "seeds must be an object"),
        ({"seeds": {"negative": [0, 2]}}, "seeds.positive is missing"),
        ({"seeds": {"positive": [0, 2], "negative": [10, 15]}}, "2 studies with and 5 without emboli"),
        ({"seeds": {"positive": [0, 2], "negative": [10, 12, 14]}}, "seeds.negative must have 2 items"),
        ({"seeds": {"positive": [0, 2], "negative": ["a", "b"]}}, r"seeds.negative\[0\] must be int, got 'a'"),
        ({"seeds": {"positive": [-2, 0], "negative": [10, 12]}}, r"seeds.positive is \[-2, 0\]"),
        ({"seeds": {"positive": [2, 2], "negative": [10, 10]}}, r"seeds.positive is \[2, 2\]"),
        ({"seeds": {"positive": [0, 10**9], "negative": [10**9, 2 * 10**9]}}, "at most 10000 in all"),
        ({"seeds": {"positive": [0, 2], "negative": [1, 3]}}, "seed 1 stands among those with and those without"),
        ({"truth_sha256": ["a"]}, "truth_sha256 must be"),
        ({"truth_sha256": {0: "a"}}, "truth_sha256.0 must be 64 digits"),
        ({"truth_sha256": {0: 5}}, "truth_sha256.0 must be str"),
        ({"truth_sha256": {7: "0" * 64}}, "truth_sha256 names 7, which is none of the seeds"),
        ({"truth_sha265": {}}, "did you mean 'truth_sha256'"),
    ],
)
def test_a_file_that_describes_no_set_is_refused_before_a_study_is_made(
    tmp_path: Path, changes: dict[str, Any], told: str
):
    with pytest.raises(InputError, match=f"E_NO_DATASET: set.yaml does not describe a frozen set: .*{told}.*; mend it"):
        FrozenSet.load(written(tmp_path, **changes))


@pytest.mark.parametrize("key", ["name", "split", "seeds"])
def test_a_file_that_lacks_a_key_is_refused_by_its_name(tmp_path: Path, key: str):
    path = tmp_path / "set.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in SET.items() if name != key}))
    with pytest.raises(InputError, match=f"{key} is missing"):
        FrozenSet.load(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be an object"),
        ("[1, 2]", "must be an object"),
        ("name: [", "does not describe"),
        ("name: a\nname: b\n", "name stands there 2 times"),
        (f"truth_sha256:\n  3: {'0' * 64}\n  3: {'1' * 64}\n", "3 stands there 2 times"),
        ("name: &a [*a]\n", "does not describe"),
    ],
)
def test_text_that_says_something_twice_or_nothing_is_refused(tmp_path: Path, text: str, told: str):
    (tmp_path / "set.yaml").write_text(text)
    with pytest.raises(InputError, match=f"E_NO_DATASET.*{told}"):
        FrozenSet.load(tmp_path / "set.yaml")


def test_a_label_map_that_is_not_there_is_named_before_a_study_is_made(tmp_path: Path):
    (tmp_path / "split.csv").write_text("id,split\na,test\n")
    with pytest.raises(InputError, match=r"E_NO_ANATOMY: .* lacks a\.nii\.gz"):
        FrozenSet.load(written(tmp_path)).maps(tmp_path)


@pytest.mark.parametrize("table", [None, "name,split\n", "id,split\na,train\n"])
def test_label_maps_without_the_sets_split_are_refused(tmp_path: Path, table: str | None):
    if table is not None:
        (tmp_path / "split.csv").write_text(table)
    with pytest.raises(InputError, match="E_NO_ANATOMY"):
        FrozenSet.load(written(tmp_path)).make(0, tmp_path)


@pytest.mark.data
def test_the_newest_set_is_made_again_as_it_was_frozen(shared: Path):
    newest = FrozenSet.load(Path(__file__).parents[1] / "frozen" / "validation-v4.yaml")
    assert set(newest.truth_sha256) == set(newest.seeds)
    newest.make(QUICK, shared / "anatomy")


def test_every_frozen_file_describes_a_set_and_robustness_takes_its_studies_from_the_test_set():
    frozen = Path(__file__).parents[1] / "frozen"
    test = FrozenSet.load(frozen / "test-v1.yaml")
    changed = [FrozenSet.load(path) for path in (frozen / "robustness-v1").glob("*.yaml")]
    assert len(changed) > 5
    for one in changed:
        assert len(one.seeds) == 20
        assert one.split == test.split
        assert set(one.positive) <= set(test.positive)
        assert set(one.negative) <= set(test.negative)
        assert one.config
