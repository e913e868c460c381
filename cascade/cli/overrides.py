"""Settings of frozen dataclasses by dotted key, such as `plan.learning_rate=3e-4`, from a command line or a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from cascade.cli.options import existing
from cascade.core.config import from_json, to_json
from cascade.core.errors import UsageError
from cascade.core.registry import nearest

Change = tuple[str, Any]
"""A dotted key and its value."""


def override(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings with some values replaced.

    Args:
        settings: Frozen dataclasses, or plain mappings that take any key, by the name that begins a key.
        overrides: `name.field=value`; the value is read as YAML: `3e-4`, `[1, 2]`, `true`, `text`, `{a: 1}`.

    Returns:
        The settings by the same names.

    Raises:
        UsageError: A key is unknown (the nearest is named), or a value has the wrong type.
    """
    return changed(settings, parsed(overrides))


def parsed(overrides: Iterable[str]) -> list[Change]:
    """Keys and values of `key=value`.

    Raises:
        UsageError: One has not this form.
    """
    changes: list[Change] = []
    for text in overrides:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is no override; write key=value, such as plan.learning_rate=3e-4")
        try:
            read: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
        except (ValueError, OmegaConfBaseException) as error:
            raise UsageError(f"the value of {key} cannot be read: {' '.join(str(error).split())}") from error
        if isinstance(read["value"], Mapping) and any(":" in str(name) for name in read["value"]):
            raise UsageError(f"the value of {key} lacks a space after a colon: write {{name: 1}}, not {{name:1}}")
        changes.append((key, read["value"]))
    return changes


def from_file(path: Path) -> list[Change]:
    """Keys and values of a YAML file, nested (`plan: {steps: 100}`) or dotted (`plan.steps: 100`).

    Raises:
        InputError: It is not there.
        UsageError: It is no YAML, or no mapping.
    """
    import yaml

    try:
        read = yaml.safe_load(existing(path, "a YAML file").read_text())
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise UsageError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(read, Mapping):
        raise UsageError(f"{path.name} holds no settings; write lines such as plan.learning_rate: 3.0e-4")
    return [(str(key), value) for key, value in read.items()]


def changed(settings: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """The settings with some values replaced, later changes over earlier ones.

    A mapping as a value goes into the fields of a dataclass, and replaces a plain mapping.

    Raises:
        UsageError: A key is unknown (the nearest is named), or a value has the wrong type.
    """
    tree = {name: to_json(value) for name, value in settings.items()}
    for key, value in changes:
        parts = key.split(".")
        if parts[0] not in settings:
            raise UsageError(f"unknown setting {key!r}; {nearest(parts[0], settings)}")
        _put(tree, settings, parts, value, key)
    for name, value in settings.items():
        if isinstance(value, Mapping) and not isinstance(tree[name], Mapping):
            raise UsageError(f"{name} must be an object, got {tree[name]!r}; write {name}.NAME=VALUE")
    try:
        return {
            name: tree[name] if isinstance(value, Mapping) else from_json(type(value), tree[name], name)
            for name, value in settings.items()
        }
    except ValueError as error:
        raise UsageError(f"a setting is wrong: {' '.join(str(error).split())}") from error


def _put(tree: dict[str, Any], like: Any, parts: Sequence[str], value: Any, key: str) -> None:
    """Set a value in a tree of mappings that was made from `like`."""
    name, *rest = parts
    inner = like.get(name) if isinstance(like, Mapping) else getattr(like, name, None)
    if rest or (is_dataclass(inner) and isinstance(value, Mapping)):
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):
            raise UsageError(f"{key!r} goes too deep: {name!r} is one value")
        for some, one in ((rest, value),) if rest else [(str(k).split("."), v) for k, v in value.items()]:
            _put(below, inner, some, one, key)
    else:
        tree[name] = value
