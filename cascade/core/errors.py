"""The tree of errors: one sentence each, with a code, where it happened, and the remedy.

CascadeError
├── UsageError        the call itself is wrong: a flag, a device, a name (exit code 2)
├── BundleError       a bundle that is incomplete, changed, or names what we do not know (exit code 2)
└── InputError        a study that cannot be read rightly (exit code 3)
"""

from __future__ import annotations

from typing import Any


class CascadeError(Exception):
    """Any refusal of this package. `str(error)` is one sentence that begins with its code.

    Args:
        code: Upper-case name such as `E_MISSING_SLICES`; stable, for programs.
        text: What came, what was expected, where, and what to do about it.
    """

    exit_code = 1

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        """Come back from another process as it was, whatever a class below takes to be made."""
        return _remade, (type(self), self.code, self.text)


def _remade(kind: type[CascadeError], code: str, text: str) -> CascadeError:
    error = kind.__new__(kind)
    CascadeError.__init__(error, code, text)
    return error


class UsageError(CascadeError):
    """The call is wrong, whatever the study holds."""

    exit_code = 2

    def __init__(self, text: str, code: str = "E_USAGE") -> None:
        super().__init__(code, text)


class BundleError(CascadeError):
    """A bundle is missing a file, was changed, or names something unknown. Nothing was loaded."""

    exit_code = 2

    def __init__(self, text: str, code: str = "E_BUNDLE") -> None:
        super().__init__(code, text)


class InputError(CascadeError):
    """A study cannot be read rightly. Nothing was written."""

    exit_code = 3
