"""Cases on an isotropic lattice, packed small: a chest at 2 mm is a few megabytes, and opens in no time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.core.findings import Field, Findings, Lungs
from cascade.core.grid import Box, Grid
from cascade.core.isotropic import Isotropic
from cascade.core.study import Study
from cascade.datasets import Entry
from cascade.datasets.cache import prepared_file
from cascade.datasets.case import Case
from cascade.datasets.layouts.simulated import kind_of, patient_of
from cascade.simulation.config import Simulation
from cascade.simulation.set import PACKED, facts_of_painted, name_of, row
from cascade.simulation.simulate import Simulated

STEP_MM = 2.0
MARGIN_MM = 24.0


def packed(case: Case, step_mm: float = STEP_MM, margin_mm: float = MARGIN_MM) -> Case:
    """A case on an isotropic lattice, cut to its lung region.

    Args:
        case: At the scanner's resolution.
        step_mm: Distance of the lattice's points.
        margin_mm: How much is kept around the lung region.

    Returns:
        A case whose grid is the lattice. Embolus and arteries are coverages (0..255); a point's label is that of the
        voxel nearest to it. What is unknown stays unknown.
    """
    grid = case.study.grid
    region = case.truth.lungs.region if case.truth.lungs else None
    region = region or Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])
    dz, dy, dx = (round(margin_mm / s) for s in grid.spacing)
    lattice = Isotropic.over(grid, region.grow((dz, dy, dx), grid.shape), step_mm)
    hu = np.clip(np.rint(lattice.crop(np.maximum(case.study.hu, -1024))), -1024, 3071).astype(np.int16)
    small, whole = lattice.grid, Box(0, hu.shape[0], 0, hu.shape[1], 0, hu.shape[2])
    known = Findings(
        small,
        lungs=Lungs(np.full((len(hu), 2, 4), np.nan, np.float32), whole),
        embolus=_coverage(case.truth.embolus, lattice, whole),
        labels=_nearest(case.truth.labels, lattice, whole),
        arteries=_coverage(case.truth.arteries, lattice, whole),
        exam=case.truth.exam,
    )
    return replace(case, study=Study(hu, small, case.study.facts), truth=known)


def packed_files(found: Iterable[Entry], step_mm: float, folder: Path) -> list[Path]:
    """The files of a data set's cases, packed; those that are so already are taken as they are.

    Args:
        found: The cases.
        step_mm: Distance of the lattice's points.
        folder: Where those lie that were packed here.

    Raises:
        InputError: One cannot be opened.
        OutputError: The folder cannot be written.
    """
    settings = {"packed": True, "step_mm": step_mm, "margin_mm": MARGIN_MM}
    return [
        entry.files[0]
        if entry.read_as[0] == "stored" and is_packed(entry.files[0], step_mm)
        else prepared_file(entry, lambda case: packed(case, step_mm), settings, folder)
        for entry in found
    ]


def pack_into(folder: Path, found: Iterable[Entry], step_mm: float) -> Iterator[Path]:
    """Write cases packed into one folder, and yield the file of each; what is packed already stays as it is.

    Args:
        folder: The data set that they become.
        found: The cases, of one data set or several.
        step_mm: Distance of the lattice's points.

    Raises:
        InputError: One cannot be opened.
        OutputError: The folder cannot be written.
    """
    taken: set[str] = set()
    for entry in found:
        case = entry.open()
        plain = re.sub(r"[^\w.-]+", "_", case.name)
        # A name is unique in its own data set alone.
        name = next(one for one in (plain, *(f"{plain}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)
        taken.add(name)
        done = entry.read_as[0] == "stored" and is_packed(entry.files[0], step_mm)
        small = replace(case if done else packed(case, step_mm), name=name)
        small.save(folder / f"{name}{PACKED}")
        yield folder / f"{name}{PACKED}"


def keep_packed(folder: Path, split: str, seed: int, made: Simulated) -> dict[str, Any]:
    """Write a simulated study into a set as a packed case, and return its row of the index."""
    return _kept(folder, row(name_of(seed), split, made.study, made.truth, made.facts), made.study, made.truth)


def keep_painted_packed(
    folder: Path, split: str, seed: int, patient: str, config: Simulation, painted: tuple[Study, Findings]
) -> dict[str, Any]:
    """Write a real study that emboli were painted into as a packed case; arguments as of `set.keep_painted`."""
    study, truth = painted
    facts = facts_of_painted(seed, patient, config, truth)
    return _kept(folder, row(name_of(seed), split, study, truth, facts), study, truth)


def _kept(folder: Path, listed: dict[str, Any], study: Study, truth: Findings) -> dict[str, Any]:
    name, anatomy = str(listed["study"]), str(listed["anatomy"])
    case = Case(name, patient_of(anatomy), kind_of(anatomy), study, truth)
    packed(case).save(folder / f"{name}{PACKED}")
    return listed


def is_packed(path: Path, step_mm: float) -> bool:
    """Whether a stored case lies on points so far apart along each axis, with all that is known of it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            boxes = json.loads((file.metadata() or {})["case"])["boxes"]
            grid = Grid(tuple(file.get_slice("hu").get_shape()), file.get_tensor("affine"))
    except (OSError, SafetensorError, KeyError, ValueError):
        return False  # whoever opens it says what is wrong
    whole = asdict(Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2]))
    known = [box for name, box in boxes.items() if name != "region"]
    return bool(np.allclose(grid.spacing, step_mm, atol=1e-3)) and all(box == whole for box in known)


def _coverage(known: Field | None, lattice: Isotropic, whole: Box) -> Field | None:
    if known is None:
        return None
    if not known.values.any():
        return Field(np.zeros(lattice.shape, np.uint8), whole)
    return Field(np.rint(lattice.crop(known.full(lattice.source.shape))).astype(np.uint8), whole)


def _nearest(known: Field | None, lattice: Isotropic, whole: Box) -> Field | None:
    if known is None:
        return None
    full: NDArray[np.unsignedinteger[Any]] = known.full(lattice.source.shape)
    at = [np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in zip(lattice.voxels, full.shape, strict=True)]
    return Field(np.ascontiguousarray(full[np.ix_(*at)]), whole)
