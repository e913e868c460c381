"""CAD-PE: 91 CT angiograms with every clot drawn and numbered, NRRD.

    images/001.nrrd ... 040.nrrd, e0032.nrrd ...    rs/0001RefStd.nrrd ..., rs/e0032RefStd.nrrd

Source: CAD-PE challenge, Gonzalez et al., IEEE DataPort, doi 10.21227/9bw7-6823, under its terms.

Labels: the values of a mask are instances, 1..n, one a clot. Published split: 001-020 to learn from, 021-040 to test
on; the 51 scans `e....` came later and are learned from.

Known faults: the same scan has three digits in one folder and four in the other: numbers are compared. The arrays run
in several directions: the headers say which, and image and mask must agree. Fifteen scans are left out by others
(slices 3 mm and more apart, no visible clot, artefact).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import known_by_mask, mask_on
from cascade.reading import read

Split = Literal["train", "test"]

_NAME = re.compile(r"(e?)(\d+)(?:refstd)?\.nrrd", re.IGNORECASE)
TEST = range(21, 41)


@dataclass(frozen=True)
class Options:
    """Which part to take.

    Attributes:
        split: As published; "all" for both.
    """

    split: Literal["train", "test", "all"] = "all"


def fits(folder: Path) -> bool:
    """Whether there are images and reference standards where CAD-PE has them."""
    return bool(_by_scan(folder / "images")) and bool(_by_scan(folder / "rs"))


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the scans."""
    images, masks = _by_scan(folder / "images"), _by_scan(folder / "rs")
    for scan in sorted({*images, *masks}):
        if options.split in ("all", split_of(scan)):
            image = images.get(scan, folder / "images" / f"{scan}.nrrd")
            mask = masks.get(scan, folder / "rs" / f"{scan}RefStd.nrrd")
            yield Entry(scan, scan, (image, mask), partial(_open, scan, image, mask))


def split_of(scan: str) -> Split:
    """The part of the published split that a scan belongs to, by a name such as "021" or "e0032"."""
    return "test" if scan.isdigit() and int(scan) in TEST else "train"


def _open(scan: str, image: Path, mask: Path) -> Case:
    if not image.is_file():
        raise InputError("E_SCAN_MISSING", f"the mask {mask.name} has no image; put it there, or take the mask away")
    study = read(image)
    return Case(scan, scan, "labelled", study, known_by_mask(study, mask_on(study, mask)))


def _by_scan(folder: Path) -> dict[str, Path]:
    """Files by the scan's name: three digits, or e and four."""
    found = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.nrrd")))
    return {f"e{int(m[2]):04d}" if m[1] else f"{int(m[2]):03d}": path for path, m in found if m}
