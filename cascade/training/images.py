"""Writing slices as pictures of three windows, in the layout that `datasets/jpeg256.py` reads."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Findings
from cascade.core.truth import embolus_on
from cascade.datasets import open_cases
from cascade.datasets.case import Case
from cascade.datasets.layouts.jpeg256 import IMAGES, SPACING, SPACING_COLUMNS
from cascade.datasets.layouts.rsna import IDS, INDETERMINATE, NEGATIVE, SLICE
from cascade.datasets.rgb_windows import to_picture
from cascade.reading import read

SERIES = "series"
"""Name of the folder of a case's one series."""

UNKNOWN = (0, 1)
"""`negative_exam_for_pe` and `indeterminate` of an exam whose answer nobody knows."""


@dataclass(frozen=True)
class ImageConfig:
    """How slices become pictures.

    Attributes:
        size: Pixels along the longer side; the shorter keeps its proportion. None for the scanner's own.
        format: "png" keeps every grey level; "jpg" is a fifth of it and halves the resolution of colours.
        quality: Of JPEG, 1..100.
    """

    size: int | None = 256
    format: Literal["png", "jpg"] = "jpg"
    quality: int = 95

    def __post_init__(self) -> None:
        """Refuse pictures that cannot be written."""
        if not (self.size is None or 1 <= self.size <= 4096) or not 1 <= self.quality <= 100:
            text = f"--size is {self.size or 0} and --quality {self.quality}"
            raise UsageError(f"{text}; 0 to 4096 pixels and 1 to 100 are meant")


@dataclass
class Written:
    """What was written.

    Attributes:
        cases: Count.
        pictures: Count.
        without: Names of cases whose embolism is unknown: the table can't name them.
    """

    cases: int = 0
    pictures: int = 0
    without: list[str] = field(default_factory=list)


def write_images(cases: Iterable[Case], folder: Path, config: ImageConfig) -> Written:
    """Write each case's slices, feet to head, and the tables that say what is known of them.

    The tables have RSNA's columns as far as they are known, and the patient. An exam of which nothing is known stands
    there as indeterminate: its pictures can be read, and nothing is learned from it. So does a plain scan, whose lack
    of emboli is an assumption and no label.

    Args:
        cases: At the scanner's resolution.
        folder: New, or empty.
        config: Size and format.

    Raises:
        InputError: E_MIXED_CASES, two cases have the same name.
    """
    written, seen = Written(), set()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.csv").open("w", newline="") as labels, (folder / SPACING).open("w", newline="") as spacings:
        rows, places = csv.writer(labels), csv.writer(spacings)
        rows.writerow((*IDS, SLICE, NEGATIVE, INDETERMINATE, "patient"))
        places.writerow(SPACING_COLUMNS)
        for case in cases:
            name = _plain(case.name)
            if name in seen:
                raise InputError("E_MIXED_CASES", f"two cases are called {name!r}; write their sets into two folders")
            seen.add(name)
            exam = _exam(case)
            if exam == UNKNOWN:
                written.without.append(name)
            series = folder / IMAGES / name / SERIES
            series.mkdir(parents=True)
            for z, (sop, picture) in enumerate(_pictures(case, config)):
                _write(series / f"{z:04d}_{sop}.{config.format}", picture, config)
                rows.writerow((name, SERIES, sop, "" if exam == UNKNOWN else _slice(case, z), *exam, case.patient))
                written.pictures += 1
            places.writerow((name, SERIES, f"{pixel_mm(case, config):.6g}", f"{case.study.grid.spacing[0]:.6g}"))
            written.cases += 1
    return written


def cases_of(path: Path, layout: str | None = None) -> Iterator[Case]:
    """The cases of a data set; of a study that is none, such as a volume's file, one of which nothing is known."""
    if layout is None and path.is_file() and path.suffix.lower() not in (".yaml", ".yml"):
        study = read(path)
        name = path.name.split(".")[0]
        yield Case(name, name, "real", study, Findings(study.grid))
        return
    yield from open_cases(path, layout)


def pixel_mm(case: Case, config: ImageConfig) -> float:
    """Distance of the written pixels."""
    _, y, x = case.study.grid.spacing
    long = max(case.study.grid.shape[1:])
    return math.sqrt(y * x) * long / (config.size or long)


def _slice(case: Case, z: int) -> str:
    """`pe_present_on_image`, empty where it is unknown."""
    present = embolus_on(case.truth, z)
    return "" if math.isnan(present) else str(int(present >= 0.5))


def _exam(case: Case) -> tuple[int, int]:
    """`negative_exam_for_pe` and `indeterminate`."""
    if case.kind == "real":
        return UNKNOWN
    decision = case.truth.exam.decision if case.truth.exam else None
    if decision is None and case.truth.embolus is not None:
        decision = "positive" if case.truth.mask().any() else "negative"
    return {"negative": (1, 0), "positive": (0, 0)}.get(decision or "", UNKNOWN)


def _pictures(case: Case, config: ImageConfig) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """SOP instance, or a made-up name, and picture of each slice, feet to head."""
    study = case.study
    names = study.source or tuple(f"{_plain(case.name)}-{z:04d}" for z in range(len(study.hu)))
    _, rows, columns = study.grid.shape
    scale = 1.0 if config.size is None else config.size / max(rows, columns)
    size = (max(round(columns * scale), 1), max(round(rows * scale), 1))
    # HU are averaged over the pixels that become one; the windows come after, so that an edge keeps its mean.
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for name, plane in zip(names, study.hu, strict=True):
        hu: NDArray[Any] = plane if scale == 1 else cv2.resize(plane.astype(np.float32), size, interpolation=way)
        yield name, to_picture(hu)


def _write(path: Path, picture: NDArray[np.uint8], config: ImageConfig) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, config.quality] if config.format == "jpg" else []
    _, packed = cv2.imencode(f".{config.format}", np.ascontiguousarray(picture[..., ::-1]), options)
    path.write_bytes(packed.tobytes())


def _plain(name: str) -> str:
    """A name that can be a folder's."""
    return re.sub(r"[^\w.-]", "_", name)
