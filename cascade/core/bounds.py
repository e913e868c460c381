"""Bounds of settings that are numbers, and one sentence for what lies outside of them. None admits infinity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cascade.core.errors import UsageError


@dataclass(frozen=True)
class Bound:
    """A condition on a setting.

    Attributes:
        text: What the setting must be, for a sentence.
        holds: Whether a value is that.
    """

    text: str
    holds: Callable[[Any], bool]


COUNT = Bound("1 or more", lambda value: 1 <= value < math.inf)
POSITIVE = Bound("a number over 0", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = Bound("a number from 0 on, not negative", lambda value: 0 <= value < math.inf)
FINITE = Bound("a finite number", lambda value: math.isfinite(value))
SHARE = Bound("from 0 to 1", lambda value: 0 <= value <= 1)
SHARE_BELOW_1 = Bound("from 0 to less than 1", lambda value: 0 <= value < 1)
RANGE = Bound("two numbers over 0, in order", lambda pair: 0 < pair[0] <= pair[1] < math.inf)
WEIGHTS = Bound(
    "numbers from 0 on, none negative", lambda weights: all(map(NOT_NEGATIVE.holds, dict(weights).values()))
)


def refuse_outside(settings: object, group: str, code: str, bounds: Mapping[Bound, Iterable[str]]) -> None:
    """Refuse settings that lie outside of their bounds.

    Args:
        settings: What has the settings as attributes.
        group: Name of the settings' group, such as "plan".
        code: Of the error.
        bounds: Names of settings by the bound that each must keep.

    Raises:
        UsageError: One does not; the sentence names the setting, its value and the bound.
    """
    for bound, names in bounds.items():
        for name in names:
            value = getattr(settings, name)
            if not bound.holds(value):
                shown = list(value) if isinstance(value, tuple) else value
                raise UsageError(f"{group}.{name} is {shown}; it must be {bound.text}", code)
