"""Pairs of NIfTI volumes, as nnU-Net lays them out; so do PEBench and most exports from annotation tools.

    imagesTr/NAME_0000.nii.gz    labelsTr/NAME.nii.gz    dataset.json

`dataset.json` names the labels (`{"background": 0, "embolus": 1}`, or the other way round as in version 1) and the
channel, which must be CT in HU. Which label is the embolus is told by its name, or by being the only one; else an
option says it. Without the file every value above 0 is embolus.

Labels are the set's own; an empty mask says that there is no embolism.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cascade.core.errors import InputError, UsageError
from cascade.core.registry import nearest
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import known_by_mask, mask_on
from cascade.reading import read

ENDINGS = (".nii.gz", ".nii", ".nrrd")
_EMBOLUS = re.compile(r"embol|thromb|clot|\bpe\b", re.IGNORECASE)
_ARTERY = re.compile(r"arter", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """What `dataset.json` leaves open.

    Attributes:
        images: Folder of the images.
        labels: Folder of the masks.
        embolus: Names of the labels that are embolus.
        arteries: Names of the labels that are pulmonary artery; emboli lie in it and are added.
        patient: Regular expression whose first group is the patient in a name; the name is the patient without one.
    """

    images: str = "imagesTr"
    labels: str = "labelsTr"
    embolus: tuple[str, ...] = ()
    arteries: tuple[str, ...] = ()
    patient: str = "(.*)"


@dataclass(frozen=True)
class Values:
    """What the values of a mask mean; without emboli every value above 0 is one."""

    embolus: tuple[int, ...] = ()
    arteries: tuple[int, ...] = ()


def fits(folder: Path) -> bool:
    """Whether both folders are there, with volumes in them."""
    usual = Options()
    return bool(_volumes(folder / usual.images)) and (folder / usual.labels).is_dir()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """In the order of their names; an image or a mask without its partner will not open."""
    values = _values(folder / "dataset.json", options)
    described = [path for path in (folder / "dataset.json",) if path.is_file()]
    images = {re.sub(r"_0000$", "", name): path for name, path in _volumes(folder / options.images).items()}
    masks = _volumes(folder / options.labels)
    for name in sorted({*images, *masks}):
        image = images.get(name, folder / options.images / f"{name}_0000.nii.gz")
        mask = masks.get(name, folder / options.labels / f"{name}.nii.gz")
        patient = patient_in(name, options.patient)
        yield Entry(name, patient, (image, mask, *described), partial(_open, name, patient, image, mask, values))


def patient_in(name: str, pattern: str) -> str:
    """The first group of a pattern in a name.

    Raises:
        UsageError: E_DATASET, the pattern is none, or doesn't match.
    """
    try:
        found = re.match(pattern, name)
        if found is not None and found[1]:
            return found[1]
    except (re.error, IndexError) as error:
        raise UsageError(f"the option patient is {pattern!r}: {error}", "E_DATASET") from error
    raise UsageError(f"the option patient is {pattern!r}, which finds no patient in {name!r}", "E_DATASET")


def _open(name: str, patient: str, image: Path, mask: Path, values: Values) -> Case:
    if not image.is_file():
        raise InputError("E_SCAN_MISSING", f"the mask {mask.name} has no image; put it there, or take the mask away")
    study = read(image)
    labels = mask_on(study, mask)
    embolus = np.isin(labels, values.embolus) if values.embolus else labels > 0
    arteries = np.isin(labels, values.arteries) | embolus if values.arteries else None
    return Case(name, patient, "labelled", study, known_by_mask(study, embolus.astype(np.uint8), arteries))


def _values(path: Path, options: Options) -> Values:
    """What the values mean by `dataset.json`.

    Raises:
        InputError: E_TABLE, the file is no such description; E_NOT_HU, the images are no CT.
        UsageError: E_DATASET, it doesn't tell which label is the embolus.
    """
    if not path.is_file():
        return Values()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        channels = [str(v) for v in (told.get("channel_names") or told.get("modality") or {"0": "CT"}).values()]
        labels = _by_name(told.get("labels", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError("E_TABLE", f"dataset.json is no nnU-Net description ({error}); write it again") from error
    if len(channels) != 1 or "CT" not in channels[0].upper():
        raise InputError("E_NOT_HU", f"dataset.json names the channels {channels}; one channel, CT in HU, is read")
    front = [name for name, value in labels.items() if value != (0,)]
    only = tuple(front) if len(front) == 1 else ()
    embolus = options.embolus or tuple(n for n in front if _EMBOLUS.search(n)) or only
    arteries = options.arteries or tuple(n for n in front if _ARTERY.search(n) and n not in embolus)
    if not embolus:
        text = f"dataset.json has the labels {', '.join(front) or 'none'}, and none is called embolus"
        raise UsageError(f"{text}; name it in dataset.yaml: options: {{embolus: [NAME]}}", "E_DATASET")
    for name in (*embolus, *arteries):
        if name not in labels:
            raise UsageError(f"dataset.json has no label {name!r}; {nearest(name, labels)}", "E_DATASET")
    return Values(*(tuple(v for n in names for v in labels[n]) for names in (embolus, arteries)))


def _by_name(labels: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """Values by name, from either version of nnU-Net; a region has several values."""
    if labels and all(key.isdigit() for key in labels):
        return {str(name): (int(value),) for value, name in labels.items()}
    return {name: tuple(int(v) for v in np.atleast_1d(np.asarray(value))) for name, value in labels.items()}


def _volumes(folder: Path) -> dict[str, Path]:
    """Files by name without endings."""
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    return {p.name[: -len(e)]: p for p in found for e in ENDINGS if p.name.endswith(e)}
