"""Dotted overrides such as `plan.learning_rate=3e-4`, over frozen dataclasses of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from cascade.config import from_json, to_json
from cascade.errors import UsageError
from cascade.registry import nearest


def override(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings with some values replaced.

    Args:
        settings: Frozen dataclasses, or plain mappings that take any key, by the name that begins a key.
        overrides: `name.field=value`; the value is read as YAML: `3e-4`, `[1, 2]`, `true`, `text`.

    Returns:
        The settings by the same names.

    Raises:
        UsageError: A key is unknown (the nearest is named), or a value has the wrong type.
    """
    if not overrides:
        return dict(settings)
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is no override; write key=value, such as plan.learning_rate=3e-4")
        first = key.split(".")[0]
        if first not in settings:
            raise UsageError(f"unknown setting {key!r}; {nearest(first, settings)}")
    try:
        given = OmegaConf.from_dotlist(list(overrides))
        merged = OmegaConf.merge(OmegaConf.create(to_json(dict(settings))), given)
        values = cast("dict[str, Any]", OmegaConf.to_container(merged))
        return {
            name: values[name] if isinstance(value, Mapping) else from_json(type(value), values[name], name)
            for name, value in settings.items()
        }
    except (ValueError, OmegaConfBaseException) as error:
        raise UsageError(f"a setting is wrong: {' '.join(str(error).split())}") from error
