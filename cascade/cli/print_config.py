"""Settings as YAML that explains itself: each with what its dataclass says of it, to be given back as `--config`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from cascade.core.config import to_json

WIDTH = 100


def as_yaml(settings: Any) -> str:
    """A dataclass of settings, and those within, one setting a line under its meaning."""
    import yaml

    about, parts = meanings(type(settings)), []
    for field in fields(settings):
        value = getattr(settings, field.name)
        parts += [f"# {line}" for line in textwrap.wrap(about.get(field.name, ""), WIDTH)]
        if is_dataclass(value):
            parts += [f"{field.name}:", textwrap.indent(as_yaml(value), "  ")]
        else:
            text = yaml.safe_dump(to_json(value), default_flow_style=True, width=10_000, allow_unicode=True)
            # YAML ends a text that stands alone with three dots.
            parts.append(f"{field.name}: " + text.removesuffix("...\n").strip())
    return "\n".join(parts)


def meanings(kind: type) -> Mapping[str, str]:
    """What the docstrings of a dataclass, and of those that it extends, say of its fields."""
    from docstring_parser import parse

    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if is_dataclass(one):
            parameters = parse(one.__doc__ or "").params
            found |= {about.arg_name: " ".join((about.description or "").split()) for about in parameters}
    return found
