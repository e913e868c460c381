from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cascade.bench.frozen import FrozenSet
from cascade.errors import InputError

QUICK = 9507
"""A seed of few slices."""
SET: dict[str, Any] = {"name": "small", "split": "test", "seeds": {"positive": [0, 2], "negative": [10, 12]}}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "set.yaml"
    path.write_text(yaml.safe_dump({**SET, **changes}))
    return path


def test_a_set_takes_its_seeds_in_turn(tmp_path: Path):
    assert FrozenSet.read(written(tmp_path)).seeds == (0, 10, 1, 11)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"slice_mmm": [1.0]}},
        {"config": {"slice_mm": "thin"}},
        {"seeds": {"positive": [0, 2], "negative": [10, 15]}},
        {"truth_sha256": ["a"]},
        {"truth_sha256": {0: "abc"}},
        {"truth_sha256": {7: 64 * "a"}},
        {"seeds": {"positive": [0, 2], "negative": [1, 3]}},
        {"seeds": {"positive": [0, 0], "negative": [1, 1]}},
        {"seeds": {"positive": [-2, 0], "negative": [1, 3]}},
        {"seeds": {"positive": 3}},
        {"config": {"noise_hu": [-1.0, 2.0]}},
        {"name": 3},
    ],
)
def test_a_file_that_describes_no_set_is_refused_before_a_study_is_made(tmp_path: Path, changes: dict[str, Any]):
    with pytest.raises(InputError, match="E_NO_DATASET"):
        FrozenSet.read(written(tmp_path, **changes))


@pytest.mark.parametrize("table", [None, "name,split\n", "id,split\na,train\n"])
def test_label_maps_without_the_sets_split_are_refused(tmp_path: Path, table: str | None):
    if table is not None:
        (tmp_path / "split.csv").write_text(table)
    with pytest.raises(InputError, match="E_NO_ANATOMY"):
        FrozenSet.read(written(tmp_path)).make(0, tmp_path)


@pytest.mark.data
def test_the_newest_set_is_made_again_as_it_was_frozen(shared: Path):
    newest = FrozenSet.read(Path(__file__).parents[1] / "frozen" / "validation-v3.yaml")
    assert set(newest.truth_sha256) == set(newest.seeds)
    newest.make(QUICK, shared / "anatomy")


def test_every_frozen_file_describes_a_set_and_robustness_takes_its_studies_from_the_test_set():
    frozen = Path(__file__).parents[1] / "frozen"
    test = FrozenSet.read(frozen / "test-v1.yaml")
    changed = [FrozenSet.read(path) for path in (frozen / "robustness-v1").glob("*.yaml")]
    assert len(changed) > 5
    for one in changed:
        assert len(one.seeds) == 20
        assert one.split == test.split
        assert set(one.positive) <= set(test.positive)
        assert set(one.negative) <= set(test.negative)
        assert one.config


def test_what_a_file_lacks_is_named(tmp_path: Path):
    (tmp_path / "set.yaml").write_text("name: small\nsplit: test\n")
    with pytest.raises(InputError, match="it lacks 'seeds'"):
        FrozenSet.read(tmp_path / "set.yaml")
