"""Frozen dataclasses of settings to JSON and back, strictly: no unknown key, no wrong type.

pydantic reads them. It is imported when the first one is read, so that `import cascade` does not wait for it.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cascade.core.registry import nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")
Place = tuple[int | str, ...]
"""Where a value stands: names of fields and keys, and numbers within lists."""

_EXPECTED = {
    "int_type": "int",
    "float_type": "float",
    "bool_type": "bool",
    "string_type": "str",
    "none_required": "null",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "tuple_type": "a list",
    "list_type": "a list",
}
"""What a sentence calls what pydantic expected."""


class ConfigError(ValueError):
    """A value that a dataclass does not take, in one sentence.

    Args:
        text: The sentence.
        place: Of the value.
        is_unknown: Whether there is no such field.
    """

    def __init__(self, text: str, place: Place = (), is_unknown: bool = False) -> None:
        super().__init__(text)
        self.place, self.is_unknown = place, is_unknown


def to_json(value: Any) -> Any:
    """A dataclass, mapping, tuple or path as JSON's dicts, lists and strings; everything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], values: Any, where: str = "") -> T:
    """Make a dataclass from what `to_json` gave; fields that are not named keep their defaults.

    An int is taken for a float; nothing else is turned into another type.

    Args:
        kind: The dataclass.
        values: A mapping of its fields.
        where: Comes before the field's name in messages.

    Raises:
        ConfigError: A field is unknown (the nearest is named), is missing, or has another type.
        CascadeError: What the dataclass itself says of its values.
    """
    from pydantic import ValidationError

    text = json.dumps(to_json(values), default=str)
    try:
        made: T = _reader(typing.cast(type, kind)).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise _explained(kind, error.errors(include_url=False)[0], where) from error
    return made


@functools.cache
def _reader(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _explained(kind: type, error: ErrorDetails, where: str) -> ConfigError:
    """What pydantic complains of, as one sentence."""
    place, context = error["loc"], error.get("ctx", {})
    name, got = dotted(place, where), error["input"]
    match error["type"]:
        case "unexpected_keyword_argument":
            known = [field.name for field in fields(_kind_at(kind, place[:-1]))]
            return ConfigError(f"{name} is unknown; {nearest(str(place[-1]), known)}", place, is_unknown=True)
        case "missing" if not isinstance(place[-1], int):
            return ConfigError(f"{name} is missing", place)
        case "missing":
            count = len(typing.get_args(_kind_at(kind, place[:-1])))
            return ConfigError(f"{dotted(place[:-1], where)} must have {count} items, got {len(got)}", place[:-1])
        case "too_long":
            return ConfigError(f"{name} must have {context['max_length']} items, got {context['actual_length']}", place)
        case "value_error":
            return _of_the_dataclass(kind, place, str(context["error"]), where)
        case "literal_error":
            expected = f"one of {context['expected'].replace(' or ', ', ')}"
        case other:
            expected = _EXPECTED.get(other) or error["msg"].removeprefix("Input should be ")
    return ConfigError(f"{name or 'the content'} must be {expected}, got {got!r}", place)


def _of_the_dataclass(kind: type, place: Place, text: str, where: str) -> ConfigError:
    """What a dataclass says of its values; its sentence often begins with the name of a field."""
    if text.split()[0] in {field.name for field in fields(_kind_at(kind, place))}:
        place = (*place, text.split()[0])
        return ConfigError(" ".join([dotted(place, where), *text.split()[1:]]), place)
    return ConfigError(f"{dotted(place, where)}: {text}" if dotted(place, where) else text, place)


def dotted(place: Place, where: str = "") -> str:
    """A place as it is written: `loss.terms.bce`, `crops.size[0]`."""
    for part in place:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else part
    return where


def _kind_at(kind: type, place: Place) -> type:
    """The dataclass that stands at a place within another."""
    return functools.reduce(_hint_of, place, kind)


def _hint_of(hint: Any, part: int | str) -> Any:
    """The type that is declared for a field, a key of a mapping, or an item of a list; `X | None` counts as X."""
    if is_dataclass(hint):
        inner = typing.get_type_hints(hint)[str(part)]
    else:
        items = typing.get_args(hint)
        inner = items[part] if isinstance(part, int) and Ellipsis not in items and part < len(items) else items[-1]
        inner = items[0] if Ellipsis in items else inner
    if typing.get_origin(inner) in (typing.Union, types.UnionType):
        inner = next(one for one in typing.get_args(inner) if one is not types.NoneType)
    return inner
