"""Names to classes, from explicit lists: a manifest or a command line can never name other code."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from cascade.core.errors import UsageError


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def refuse_unknown(what: str, name: str, known: Iterable[str], code: str = "E_USAGE") -> None:
    """Refuse a name that is on no list.

    Raises:
        UsageError: It is not; the nearest is named.
    """
    names = list(known)
    if name not in names:
        raise UsageError(f"unknown {what} {name!r}; {nearest(name, names)}", code)


def build(table: Mapping[str, str], name: str, arguments: Mapping[str, Any]) -> Any:
    """Make the object that a table of `"module:attribute"` lists under a name.

    The module is imported here and not before, so that listing names costs nothing.

    Raises:
        UsageError: The name is not in the table, or the arguments are not the class's.
    """
    refuse_unknown("network", name, table, "E_UNKNOWN_NETWORK")
    module, attribute = table[name].split(":")
    factory = getattr(importlib.import_module(module), attribute)
    try:
        return factory(**arguments)
    except TypeError as error:
        raise UsageError(f"network {name!r} does not take these arguments: {error}", "E_NETWORK_ARGUMENTS") from error
