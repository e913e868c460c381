"""The shape of the house: layers, no circle, sizes, types. Every import counts, those at call time too."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cascade", "detectors", "segmenters", "classifiers")
LONGEST_FILE = 400
LONGEST_FUNCTION = 80
FLOORS = 10
"""The ground, eight floors, and the door `python -m cascade`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, wherever in the file."""
    wanted: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            module = str(node.module)
            wanted |= {one if (one := f"{module}.{alias.name}") in modules() else module for alias in node.names}
        elif isinstance(node, ast.Import):
            wanted |= {alias.name for alias in node.names}
    return {one for one in wanted if one in modules() and one != name}


def layers() -> list[list[str]]:
    """The contract of import-linter, highest first."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert "ignore_imports" not in contract
    return [[room.strip() for room in line.replace(":", "|").split("|")] for line in contract["layers"]]


def place(name: str) -> tuple[int, str]:
    """The floor of a module, counted from above, and its room."""
    for floor, rooms in enumerate(layers()):
        for room in rooms:
            if name == room or name.startswith(f"{room}."):
                return floor, room
    raise LookupError(name)


def functions() -> Iterator[tuple[str, Function]]:
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", node


def test_every_module_stands_on_a_floor() -> None:
    assert len(layers()) <= FLOORS
    homeless = [name for name in modules() if name != "cascade" and not _has_place(name)]
    assert not homeless


def _has_place(name: str) -> bool:
    try:
        place(name)
    except LookupError:
        return False
    return True


def test_imports_point_down_and_never_to_a_room_on_the_same_floor() -> None:
    wrong = []
    for name in modules():
        if name == "cascade":
            continue
        floor, room = place(name)
        for other in imports(name) - {"cascade"}:
            below, elsewhere = place(other)
            if elsewhere != room and below <= floor:
                wrong.append(f"{name} -> {other}")
    assert not wrong


def test_nothing_imports_the_face_of_the_package() -> None:
    assert not [name for name in modules() if "cascade" in imports(name)]


def test_there_is_no_circle() -> None:
    try:
        TopologicalSorter({name: imports(name) for name in modules()}).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_no_file_is_long() -> None:
    assert not {
        name: lines
        for name, path in modules().items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) >= LONGEST_FILE
    }


def test_no_function_is_long() -> None:
    assert not {
        name: lines
        for name, node in functions()
        if (lines := int(node.end_lineno or 0) - node.lineno + 1) >= LONGEST_FUNCTION
    }


def test_nothing_goes_unnamed_between_a_command_and_a_training() -> None:
    """No `**settings`: each command hands one value of settings on."""
    loose = []
    for name in modules():
        if name.startswith(("cascade.cli.train", "cascade.training", "detectors.training")):
            for node in ast.walk(tree(name)):
                if isinstance(node, ast.Call) and any(
                    word.arg is None and not isinstance(word.value, ast.Dict) for word in node.keywords
                ):
                    called = ast.unparse(node.func)
                    if called.startswith("train"):
                        loose.append(f"{name}: {called}")
    loose += [name for name, node in functions() if node.name.startswith("train_") and node.args.kwarg is not None]
    assert not loose
