"""RSNA-STR pulmonary embolism CT (RSPECT): 7,279 exams with labels of exams and slices, no masks.

    train/<StudyInstanceUID>/<SeriesInstanceUID>/<SOPInstanceUID>.dcm    train.csv, one row a slice

Source: Colak et al., Radiology: Artificial Intelligence 2021;3(2), doi 10.1148/ryai.2021200254; Kaggle competition
rsna-str-pulmonary-embolism-detection; "RSNA-STR Pulmonary Embolism CT (RSPECT) Dataset, Copyright RSNA, 2020". For
non-commercial research and education, which goes for networks that learn from it too.

Labels: `pe_present_on_image` of each slice; for each exam whether it is negative, indeterminate or positive, RV/LV
ratio, places and age of the clots, and four remarks. An indeterminate exam says nothing of its slices, though the table
has 0 for them: all of it stays unknown. Nobody drew outlines: where a slice is positive, the voxels are unknown.

Known faults: file names are random, slices go by position; slices are padded with -2000; no patient is named, so the
exam is the patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cascade.core.errors import InputError
from cascade.core.findings import Exam, Findings, Slices
from cascade.core.truth import KNOWN
from cascade.datasets.case import Case
from cascade.datasets.entry import Entry
from cascade.datasets.masks import lungs_alone, no_embolus
from cascade.datasets.table import answer, rows
from cascade.reading import read

IDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
SLICE = "pe_present_on_image"
NEGATIVE, INDETERMINATE = "negative_exam_for_pe", "indeterminate"
SCORED = (
    NEGATIVE,
    INDETERMINATE,
    "chronic_pe",
    "acute_and_chronic_pe",
    "central_pe",
    "leftsided_pe",
    "rightsided_pe",
    "rv_lv_ratio_gte_1",
    "rv_lv_ratio_lt_1",
)
"""The exam's labels that the competition scores."""


@dataclass(frozen=True)
class Options:
    """What to do with exams of the table whose slices are not there.

    Attributes:
        missing: "refuse" them, or "skip" them where only a part of the set was fetched.
    """

    missing: Literal["refuse", "skip"] = "refuse"


@dataclass
class Rows:
    """What the table says of an exam.

    Attributes:
        series: Its series.
        labels: Of the exam: `SCORED`, or those of them that the table has.
        slices: `pe_present_on_image` by SOP instance.
    """

    series: str
    labels: Mapping[str, float]
    slices: dict[str, float] = field(default_factory=dict)


def fits(folder: Path) -> bool:
    """Whether the table and the folder of exams are there."""
    return (folder / "train.csv").is_file() and (folder / "train").is_dir()


def entries(folder: Path, options: Options) -> Iterator[Entry]:
    """The cases before they are opened, in the order of the table."""
    for study, told in exams(folder / "train.csv").items():
        path = folder / "train" / study / told.series
        if options.missing == "refuse" or path.is_dir():
            yield Entry(study, study, (path, folder / "train.csv"), partial(_open, study, path, told))


def exams(table: Path, needed: Sequence[str] = SCORED, unknown: bool = False) -> dict[str, Rows]:
    """The exams of a table such as `train.csv`, by study.

    Args:
        table: Its columns in any order, with others beside them.
        needed: Those of `SCORED` that must be there; of the others those that are there are taken.
        unknown: Whether a slice's label may be empty; it is NaN then.

    Raises:
        InputError: E_COLUMNS; E_TABLE, the rows of one exam contradict each other.
    """
    found: dict[str, Rows] = {}
    for row in rows(table, (*IDS, SLICE, *needed)):
        study, series, sop = (row[name] for name in IDS)
        labels = {name: answer(row[name]) for name in SCORED if name in row}
        present = math.nan if unknown and not row[SLICE] else answer(row[SLICE])
        told = {name: value for name, value in labels.items() if value is not None}
        if present is None or len(told) < len(labels):
            raise InputError("E_TABLE", f"{table.name} has a label other than 0 and 1 in study {study}; copy it again")
        exam = found.setdefault(study, Rows(series, told))
        if exam.series != series or exam.labels != told:
            text = f"{table.name} says different things of study {study} in different rows"
            raise InputError("E_TABLE", f"{text}; series and exam labels must agree: copy it again")
        exam.slices[sop] = present
    return found


def known_by_rows(findings: Findings, labels: Mapping[str, float], present: NDArray[np.float32]) -> Findings:
    """What the table's labels say, added to findings.

    Args:
        findings: Of the study.
        labels: Of the exam, `NEGATIVE` and `INDETERMINATE` among them.
        present: `pe_present_on_image` of each slice, feet to head; NaN where unknown.
    """
    if labels[INDETERMINATE] >= 0.5:
        return replace(findings, exam=Exam("abstain", reason="RSNA's readers found it indeterminate", labels=labels))
    slices = Slices.unknown(len(present)).with_pe(KNOWN, present)
    decision: Literal["positive", "negative"] = "negative" if labels[NEGATIVE] >= 0.5 else "positive"
    return replace(findings, slices=slices, exam=Exam(decision, labels=labels))


def _open(name: str, path: Path, told: Rows) -> Case:
    if not path.is_dir():
        text = "the table names an exam whose slices are not there"
        raise InputError("E_SCAN_MISSING", f"{text}; fetch them, or write options: {{missing: skip}} into dataset.yaml")
    study = read(path)
    here = set(study.source)
    if not here or here != set(told.slices):
        odd = len(here ^ set(told.slices))
        text = f"{odd} slices stand in the folder alone or in train.csv alone"
        raise InputError("E_TABLE", f"{text}; fetch the exam again, the table goes by SOPInstanceUID")
    present = np.array([told.slices[sop] for sop in study.source], dtype=np.float32)
    truth = known_by_rows(lungs_alone(study), told.labels, present)
    if truth.exam is not None and truth.exam.decision == "negative":
        truth = replace(truth, embolus=no_embolus(study.grid))
    return Case(name, name, "labelled", study, truth)
