"""A folder that is written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cascade.errors import UsageError


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to write into; it takes the place of `out` when the block ends without an error.

    Raises:
        UsageError: No folder can be made there.
    """
    out = out.resolve()
    part = out.parent / f".{out.name}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"no folder can be made in {out.parent} ({error.strerror}); name another -o", "E_OUT"
        ) from error
    try:
        yield part
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
