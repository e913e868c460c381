"""Folders of PNG slices with masks, as 2D segmentation networks take them.

    {train,val}/image/PAT001_D0001.png    {train,val}/mask/PAT001_D0001.png    (or `image` and `mask` alone)

Source: a layout, not a set; it is made of FUMPE and its like. The patient is the text before the last `_`, and the
numbers count from the feet. Slices whose numbers follow each other make a case; a gap begins another one.

Labels: 255 is embolus, 0 is none; the threshold is 128.

Known faults: a PNG has no HU and no spacing. Three-window pictures say their HU as far as the windows go, a grey one
only where an option names its window. Slices that were stretched one by one have no HU at all and are refused: what
learns from them could never be mixed with, or run on, CT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cascade.core.errors import InputError
from cascade.core.findings import Findings
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import as_field, lungs_alone
from cascade.datasets.pictures import PARTS, PartOptions, files, number_of, patient_of, picture_study, shows_lung
from cascade.reading.images import decode

THRESHOLD = 128


Options = PartOptions


def fits(folder: Path) -> bool:
    """Whether there are folders of images and masks."""
    return bool(_parts(folder))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """In the order of the names; a picture or a mask without its partner will not open."""
    for part in _parts(folder):
        if options.part in ("all", part.name) or part == folder:
            images, masks = files(part / "image"), files(part / "mask")
            for run in _runs(sorted({*images, *masks})):
                pairs = tuple(
                    (images.get(n, part / "image" / f"{n}.png"), masks.get(n, part / "mask" / f"{n}.png")) for n in run
                )
                patient = patient_of(run[0])
                yield Entry(
                    run[0],
                    patient,
                    tuple(p for pair in pairs for p in pair),
                    partial(_open, run[0], patient, pairs, options),
                )


def _open(name: str, patient: str, pairs: tuple[tuple[Path, Path], ...], options: Options) -> Case:
    for image, mask in pairs:
        if not (image.is_file() and mask.is_file()):
            lost = "mask" if image.is_file() else "image"
            raise InputError(f"E_{lost.upper()}_MISSING", f"{image.stem} has no {lost}; put it there, or take it away")
    study = picture_study([image for image, _ in pairs], options)
    embolus = np.stack([_mask(mask, study.grid.shape[1:]) for _, mask in pairs])
    # Some of a patient's slices say nothing of the exam.
    lungs = lungs_alone(study) if shows_lung(study) else Findings(study.grid)
    known = replace(lungs, embolus=as_field(embolus, study.grid))
    return Case(name, patient, "labelled", study, known)


def _mask(path: Path, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    pixels = decode(path)
    plane = np.asarray(pixels.max(axis=2) if pixels.ndim == 3 else pixels, dtype=np.float32)
    if plane.shape != shape:
        text = f"the mask {path.name} has {plane.shape} pixels, its picture {shape}"
        raise InputError("E_MASK_GRID", f"{text}; write it in the picture's size")
    if 0 < plane.max() < THRESHOLD:
        text = f"the mask {path.name} has values up to {plane.max():.0f}, and embolus begins at {THRESHOLD}"
        raise InputError("E_NOT_LABELS", f"{text}; write masks of 0 and 255")
    return np.asarray(plane >= THRESHOLD)


def _runs(names: list[str]) -> Iterator[list[str]]:
    """Names of one patient whose numbers follow each other."""
    run: list[str] = []
    for name in sorted(names, key=lambda n: (patient_of(n), number_of(n) or 0, n)):
        if run and not (
            patient_of(run[-1]) == patient_of(name) and (number_of(name) or 0) == (number_of(run[-1]) or 0) + 1
        ):
            yield run
            run = []
        run.append(name)
    if run:
        yield run


def _parts(folder: Path) -> list[Path]:
    found = [folder, *(folder / part for part in PARTS)]
    return [part for part in found if (part / "image").is_dir() and (part / "mask").is_dir()]
