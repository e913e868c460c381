"""YOLO folders: pictures and boxes as Ultralytics' trainer takes them.

    images/{train,val}/NAME.jpg    labels/{train,val}/NAME.txt    data.yaml

Source: a layout, not a set (docs.ultralytics.com/datasets/detect). A set may be named by its folder, or one part of it
by `images/train`. A line of a label file is `class x y width height`: the box's centre and size as fractions.

Labels: `data.yaml` names the classes; those with "right" or "left" in their names are these lungs, "lung" is either
side, "lungs" is one box around both. Other classes are passed over, but one of lungs must be there. A picture without a
label file, or with an empty one, shows no lung.

Known faults: pictures have no HU and no spacing (`pictures.py`). The patient is the text before the last `_` of a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.lung_boxes import Drawn, Which, slice_case
from cascade.datasets.pictures import PARTS, PartOptions, files, patient_of

Options = PartOptions


def fits(folder: Path) -> bool:
    """Whether it is such a set, or the pictures of one of its parts."""
    return _root(folder) is not None


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """In the order of the names, part by part."""
    root = _root(folder)
    if root is None:
        text = f"{folder.name} is no YOLO set"
        raise InputError("E_NO_DATASET", f"{text}; it needs images/, labels/ and data.yaml with the classes' names")
    classes = _classes(root / "data.yaml")
    asked = ["", *PARTS] if options.part == "all" else [options.part]
    parts = asked if root == folder else [folder.name]
    for part in parts:
        for name, path in files(root / "images" / part).items():
            label, patient = root / "labels" / part / f"{name}.txt", patient_of(name)
            sources = (path, *(one for one in (label, root / "data.yaml") if one.is_file()))
            yield Entry(name, patient, sources, partial(_open, path, label, patient, classes, options))


def _open(path: Path, label: Path, patient: str, classes: Mapping[int, Which | None], options: Options) -> Case:
    return slice_case(path, patient, list(_boxes(label, classes)), options)


def _boxes(path: Path, classes: Mapping[int, Which | None]) -> Iterator[Drawn]:
    for line, text in enumerate(path.read_text().splitlines() if path.is_file() else [], 1):
        if not text.strip():
            continue
        try:
            index, x, y, width, height = (float(word) for word in text.split())
            which = classes[int(index)]
        except (ValueError, KeyError) as error:
            told = f"line {line} of {path.name} is {text.strip()!r}"
            raise InputError("E_TABLE", f"{told}; it must be a class of data.yaml and four fractions") from error
        if which is not None:
            yield Drawn(which, x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _classes(path: Path) -> Mapping[int, Which | None]:
    """What the classes are, by number.

    Raises:
        InputError: E_TABLE, the file names no class of lungs.
    """
    import yaml

    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        known = {int(k): str(v) for k, v in (names.items() if isinstance(names, dict) else enumerate(names))}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "E_TABLE", f"{path.name} names no classes; write names: {{0: right lung, 1: left lung}}"
        ) from error
    meant = {number: _meant(name.lower()) for number, name in known.items()}
    if not any(meant.values()):
        text = f"{path.name} has the classes {', '.join(known.values())}; the detector learns lungs"
        raise InputError("E_TABLE", f"{text}: name them right lung, left lung, lung or lungs")
    return meant


def _meant(name: str) -> Which | None:
    if "right" in name:
        return "right"
    if "left" in name:
        return "left"
    return "lungs" if "lungs" in name else "lung" if "lung" in name else None


def _root(folder: Path) -> Path | None:
    """The set's folder, of the set or of `images/PART` in it."""
    for root in (folder, folder.parent.parent):
        inside = root == folder or folder.parent == root / "images"
        if inside and (root / "data.yaml").is_file() and (root / "images").is_dir() and (root / "labels").is_dir():
            return root
    return None
