"""The files of a folder, in a fixed order, without following links."""

from __future__ import annotations

import os
from pathlib import Path

from cascade.reading.limits import MAX_DEPTH, MAX_FILES, check


def files_in(folder: Path) -> list[Path]:
    """Regular files under a folder, sorted by path; links, pipes and devices are passed over.

    Raises:
        InputError: E_LIMIT, too many files or folders nested too deep.
    """
    found: list[Path] = []
    root_depth = len(folder.parts)
    for here, folders, names in os.walk(folder, followlinks=False):
        check("nested folders", len(Path(here).parts) - root_depth, MAX_DEPTH)
        folders.sort()
        for name in names:
            path = Path(here) / name
            if path.is_file() and not path.is_symlink():
                found.append(path)
        check("files", len(found), MAX_FILES)
    return sorted(found)
