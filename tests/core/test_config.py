from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from cascade.core.config import ConfigError, from_json, to_json


@dataclass(frozen=True)
class Point:
    """A point."""

    x: float
    name: str = ""

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError(f"x must be 0 or more, got {self.x}")


@dataclass(frozen=True)
class Shape:
    """Points, and more."""

    kind: Literal["open", "closed"] = "open"
    first: Point = Point(0.0)
    last: Point | None = None
    others: tuple[Point, ...] = ()
    named: Mapping[str, Point] = field(default_factory=dict)
    size: tuple[int, float] = (1, 2.0)
    more: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


WHOLE = Shape(
    "closed", Point(1.0), Point(2.0, "b"), (Point(3.0),), {"c": Point(4.0)}, (5, 6.0), {"a": [1, "x"]}, Path("a/b")
)


def test_what_is_written_is_read() -> None:
    assert from_json(Shape, to_json(WHOLE)) == WHOLE
    assert from_json(Shape, {}) == Shape()
    assert to_json(WHOLE)["file"] == "a/b"


def test_an_int_is_taken_for_a_float() -> None:
    assert from_json(Point, {"x": 3}) == Point(3.0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (3, "the content must be an object, got 3"),
        (None, "the content must be an object, got None"),
        ({"knd": 1}, "knd is unknown; did you mean 'kind'?"),
        ({"kind": "shut"}, "kind must be one of 'open', 'closed', got 'shut'"),
        ({"first": {"nam": "a", "x": 1}}, "first.nam is unknown; did you mean 'name'?"),
        ({"first": {}}, "first.x is missing"),
        ({"first": {"x": "1"}}, "first.x must be float, got '1'"),
        ({"first": {"x": True}}, "first.x must be float, got True"),
        ({"first": {"x": -1}}, "first.x must be 0 or more, got -1.0"),
        ({"last": {"nam": "a", "x": 1}}, "last.nam is unknown; did you mean 'name'?"),
        ({"last": 3}, "last must be an object, got 3"),
        ({"others": [{"x": 1}, {"y": 1}]}, "others[1].x is missing"),
        ({"others": [{"x": 1, "nam": 1}]}, "others[0].nam is unknown; did you mean 'name'?"),
        ({"others": 3}, "others must be a list, got 3"),
        ({"named": {"c": {"x": 1, "nam": 1}}}, "named.c.nam is unknown; did you mean 'name'?"),
        ({"named": {"c": {"x": None}}}, "named.c.x must be float, got None"),
        ({"named": [1]}, "named must be an object, got [1]"),
        ({"size": [1]}, "size must have 2 items, got 1"),
        ({"size": [1, 2, 3]}, "size must have 2 items, got 3"),
        ({"size": [1.5, 2]}, "size[0] must be int, got 1.5"),
        ({"file": 3}, "file must be str, got 3"),
    ],
)
def test_a_wrong_value_is_answered_in_one_sentence(values: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json(Shape, values)
    assert str(caught.value) == sentence


def test_a_place_comes_before_the_names() -> None:
    with pytest.raises(ConfigError, match=r"^bundle\.config\.first\.x is missing$"):
        from_json(Shape, {"first": {}}, "bundle.config")
    with pytest.raises(ConfigError, match=r"^bundle\.config must be an object, got 3$"):
        from_json(Shape, 3, "bundle.config")


@pytest.mark.parametrize(
    "code",
    [
        "import cascade",
        "import cascade.cli.main, cascade.cli.train.main",
        "from cascade.cli.main import main; main(['--help'])",
        "from cascade.cli.train.main import main; main(['segmenter', '--help'])",
    ],
)
def test_pydantic_and_omegaconf_are_loaded_where_settings_are_read_and_not_before(code: str) -> None:
    check = "import sys; assert not {'pydantic', 'omegaconf'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{code}\n{check}"], check=True, capture_output=True)
