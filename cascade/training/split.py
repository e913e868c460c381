"""Patients are split, never their studies or slices."""

from __future__ import annotations

from cascade.core.errors import UsageError


def refuse_shared(learn: set[str], held: set[str]) -> None:
    """Refuse patients who are learned from and judged by.

    Raises:
        UsageError: One is in both.
    """
    if learn & held:
        raise UsageError(
            f"{len(learn & held)} patients stand in training and validation data, among them {min(learn & held)!r}; "
            "move all studies of a patient to one side",
            "E_SPLIT",
        )
