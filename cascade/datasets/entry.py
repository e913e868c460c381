"""An entry of a data set: a case that can be opened, known by name, patient and files before a pixel is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascade.core.errors import CascadeError, InputError
from cascade.datasets.case import Case


@dataclass(frozen=True, eq=False)
class Entry:
    """A case before it is opened.

    Attributes:
        name: Unique in its data set.
        patient: As `Case.patient`: the unit of splits, so that sets can be compared without reading them.
        files: The files and folders that the case is made of, tables included; the first of them names it in messages.
        opener: Reads it.
        read_as: The layout and its options, by which the same files may be read in another way.
    """

    name: str
    patient: str
    files: tuple[Path, ...]
    opener: Callable[[], Case]
    read_as: tuple[str, Any] = ("", None)

    @property
    def where(self) -> str:
        """The end of the first file's path: enough to find it."""
        return "/".join(self.files[0].parts[-3:])

    def open(self) -> Case:
        """Read the case.

        Raises:
            InputError: It cannot be read rightly; the sentence names the file and the remedy.
        """
        try:
            return self.opener()
        except CascadeError as error:
            raise InputError(error.code, f"{self.where}: {error.text}") from error
        except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
            text = f"{self.where} cannot be read ({type(error).__name__}: {error})"
            raise InputError("E_UNREADABLE", f"{text}; copy it again, or take the case out of the data set") from error
