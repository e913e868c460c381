"""INSPECT: 23,248 CT angiograms of 19,402 patients with labels taken from their reports, no masks.

    <images>/<image_id>.nii.gz    a table with image_id, person_id, pe_positive_nlp

Source: Huang et al., INSPECT (2023), github som-shahlab/INSPECT_public; Stanford research agreement, non-commercial, no
redistribution. The names of its tables change from release to release, so table and columns are options:

    layout: inspect
    options: {table: labels_20250611.tsv, images: CTPA, split: train}

Labels: embolism of the exam by a language model from the report's text, 4,684 with and 18,552 without; "Censored" and
empty mean unknown. Nothing is said of slices and voxels. A person has several studies; `person_id` is the patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Exam
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import lungs_alone
from cascade.datasets.table import answer, rows
from cascade.reading import read

ENDING = ".nii.gz"


@dataclass(frozen=True)
class Options:
    """Where a release keeps what.

    Attributes:
        table: File with a row a study, csv or tsv.
        images: Folder of the volumes.
        image: Column of a volume's file name, with or without ending.
        patient: Column of the person.
        label: Column that says whether there is an embolism.
        split: Take only rows whose `split_column` says this; all without one.
        split_column: Column of the published split: train, valid or test.
    """

    table: str = ""
    images: str = "images"
    image: str = "image_id"
    patient: str = "person_id"
    label: str = "pe_positive_nlp"
    split: str | None = None
    split_column: str = "split"


def fits(folder: Path) -> bool:
    """Never: which table to take has to be said."""
    return False


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the table."""
    if not options.table:
        text = "the layout inspect needs the name of its table"
        raise UsageError(f"{text}; write it into dataset.yaml: options: {{table: labels.csv}}", "E_DATASET")
    columns = [options.image, options.patient, options.label]
    columns += [options.split_column] if options.split is not None else []
    for row in rows(folder / options.table, columns):
        if options.split is None or row[options.split_column] == options.split:
            name, patient = row[options.image].removesuffix(ENDING), row[options.patient]
            path = folder / options.images / f"{name}{ENDING}"
            opener = partial(_open, name, patient, path, answer(row[options.label]))
            yield Entry(name, patient, (path, folder / options.table), opener)


def _open(name: str, patient: str, path: Path, positive: float | None) -> Case:
    if not path.is_file():
        raise InputError("E_SCAN_MISSING", "the table names a volume that is not there; fetch it, or take its row away")
    study = read(path)
    exam = None if positive is None else Exam("positive" if positive else "negative")
    return Case(name, patient, "labelled", study, replace(lungs_alone(study), exam=exam))
