"""Frozen dataclasses of settings to JSON and back, strictly: no unknown key, no wrong type."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from cascade.core.registry import nearest

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A dataclass, mapping or tuple as JSON's dicts and lists; numbers and strings as they are."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], values: Any, where: str = "") -> T:
    """Make a dataclass from what `to_json` gave; fields that are not named keep their defaults.

    Args:
        kind: The dataclass.
        values: A mapping of its fields.
        where: Comes before the field's name in messages.

    Raises:
        ValueError: A field is unknown (the nearest is named), is missing, or has another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where or kind.__name__} must be an object, got {type(values).__name__}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # `kind` is a dataclass, which no type variable can say
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in known:
            raise ValueError(f"{where + '.' if where else ''}{key} is unknown; {nearest(str(key), known)}")
    for name, one in known.items():
        if name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{where + '.' if where else ''}{name} is missing")
    made = {key: _convert(hints[key], item, f"{where + '.' if where else ''}{key}") for key, item in values.items()}
    return kind(**made)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if is_dataclass(hint):
        return from_json(typing.cast(type[Any], hint), value, where)
    if origin in (typing.Union, types.UnionType):
        return _either(arguments, value, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ValueError(f"{where} must be one of {', '.join(map(repr, arguments))}, got {value!r}")
    if origin in (tuple, list) and isinstance(value, list | tuple):
        return _sequence(origin, arguments, value, where)
    if origin is not None and isinstance(value, Mapping) and issubclass(origin, Mapping):
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    if hint is None or hint is type(None):
        if value is None:
            return None
        raise ValueError(f"{where} must be null, got {value!r}")
    name = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise ValueError(f"{where} must be {name}, got {value!r}")


def _either(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    problems = []
    for choice in arguments:
        try:
            return _convert(choice, value, where)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(problems[0])


def _sequence(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis) or origin is list:
        item = arguments[0] if arguments else Any
        return origin(_convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(arguments) != len(value):
        raise ValueError(f"{where} must have {len(arguments)} items, got {len(value)}")
    return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True)))
