"""Names to classes, from explicit lists: a manifest or a command line can never name other code."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cascade.core.errors import UsageError

PACKAGES = ("detectors", "classifiers", "segmenters")
"""The packages of networks, in the order in which their stages look at a study; others may use these names too."""


def refuse_shadowed() -> None:
    """Refuse to go on where another package of the name `detectors`, `segmenters` or `classifiers` is found first.

    Raises:
        UsageError: E_SHADOWED, the sentence names the package and where it lies.
    """
    ours = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        try:
            found = importlib.util.find_spec(name)
        except ValueError:  # something that is no module of a file bears the name
            found = None
        place = Path(found.origin).resolve().parent if found is not None and found.origin else None
        if place != ours / name:
            where = "nowhere" if place is None else str(place)
            raise UsageError(
                f"Python finds the package {name!r} in {where}, not beside cascade in {ours}: another one of that name "
                "stands before it; rename that one, or start Python in another folder",
                "E_SHADOWED",
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
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
    known = list(inspect.signature(factory).parameters)
    for argument in arguments:
        if argument not in known:
            text = f"network {name!r} has no argument {argument!r}; {nearest(argument, known)}"
            raise UsageError(text, "E_NETWORK_ARGUMENTS")
    try:
        return factory(**arguments)
    except TypeError as error:
        raise UsageError(f"network {name!r} cannot be made: {error}", "E_NETWORK_ARGUMENTS") from error
