"""Label maps that studies are simulated on: a folder of `NAME.nii.gz`, and `split.csv`, which parts them by person."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cascade.core.errors import InputError, UsageError
from cascade.simulation.anatomy import load

SPLIT = "split.csv"
ENDING = ".nii.gz"


def read_split(folder: Path) -> dict[str, str]:
    """The split of each label map, by its name without ending.

    Raises:
        OSError: The folder has no `split.csv`.
        ValueError: It lacks the columns id and split, parted by commas.
    """
    with (folder / SPLIT).open(newline="", encoding="utf-8") as file:
        try:
            rows = csv.DictReader(file)
            if not {"id", "split"} <= set(rows.fieldnames or ()):
                raise ValueError(f"{SPLIT} lacks the columns id and split")
            return {row["id"]: row["split"] for row in rows}
        except csv.Error as error:
            raise ValueError(str(error)) from error


def find_maps(path: Path | None, split: str = "") -> list[Path]:
    """The label maps to simulate on: a file, or those of a folder, of one split where one is named; none of None.

    Raises:
        InputError: There are none.
        UsageError: A split is named, and the folder does not say which maps are of it.
    """
    if path is None:
        return []
    if not path.exists():
        raise InputError("E_NOT_FOUND", f"{path} does not exist; give a label map or a folder of them")
    if path.is_file():
        return [path]
    maps = sorted(path.glob(f"*{ENDING}"))
    if split:
        table = path / SPLIT
        try:
            splits = read_split(path)
        except OSError as error:
            raise UsageError(f"--split {split} needs {table}, with the columns id and split") from error
        except ValueError as error:
            raise UsageError(f"--split {split} needs the columns id and split in {table}, parted by commas") from error
        maps = [one for one in maps if splits.get(one.name.removesuffix(ENDING)) == split]
    if not maps:
        of = f" of split {split!r}" if split else ""
        raise InputError(
            "E_NO_ANATOMY", f"{path} holds no label maps (*{ENDING}){of}; name another --anatomy or --split"
        )
    return maps


def open_all(maps: Sequence[Path], seeds: Iterable[int], progress: Callable[[str, int, int], None] | None) -> None:
    """Open every label map whose turn will come, so that a wrong one ends the work before it has begun.

    Args:
        maps: They take turns by seed.
        seeds: Of the studies.
        progress: Called with "label maps", how many are opened, and of how many.

    Raises:
        SimulationError: One is no label map of a chest.
    """
    used = sorted({maps[seed % len(maps)] for seed in seeds}) if maps else []
    if len(used) < 2:  # the first study opens it
        return
    for done, path in enumerate(used, start=1):
        load(path)
        if progress is not None:
            progress("label maps", done, len(used))
