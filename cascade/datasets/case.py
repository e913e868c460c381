"""A case: a study with what is known about it, kept on disk in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cascade.core.config import from_json, to_json
from cascade.core.errors import InputError
from cascade.core.files import write_bytes
from cascade.core.findings import Exam, Field, Findings, Lungs, Slices
from cascade.core.grid import Box, Grid
from cascade.core.stage import Learned
from cascade.core.study import Note, Study

Kind = Literal["simulated", "procedural", "real", "hybrid", "labelled"]
FORMAT = "pe-cascade case 2"
_SCORES = {"pe-cascade case 1": ("lung_filter", "siamese")}
"""Whose slice scores files of earlier formats hold, in their order; since then a file says it."""


@dataclass(frozen=True, eq=False)
class Case:
    """A study to learn from.

    Attributes:
        name: Unique in a data set.
        patient: Whose anatomy or voxels these are; cases of one patient never stand on both sides of a split.
        kind: "simulated" on a real vessel anatomy, "procedural", "real" as scanned, "hybrid" (painted into a real
            scan), "labelled" by a person.
        study: The evidence.
        truth: What is known; None fields are unknown and are not learned from.
    """

    name: str
    patient: str
    kind: Kind
    study: Study
    truth: Findings

    def save(self, path: Path) -> None:
        """Write to one file, whole or not at all.

        Raises:
            OutputError: E_OUTPUT.
        """
        from safetensors.numpy import save

        tensors: dict[str, NDArray[Any]] = {"hu": np.ascontiguousarray(self.study.hu), "affine": self.study.grid.affine}
        boxes: dict[str, Any] = {}
        for name in ("embolus", "labels", "arteries"):
            known: Field | None = getattr(self.truth, name)
            if known is not None:
                tensors[name] = np.ascontiguousarray(known.values)
                boxes[name] = asdict(known.box)
        if self.truth.lungs is not None:
            tensors["lung_boxes"] = self.truth.lungs.boxes
            boxes["region"] = asdict(self.truth.lungs.region) if self.truth.lungs.region else None
        scores: Mapping[str, NDArray[np.float32]] = {}
        if self.truth.slices is not None:
            scores = self.truth.slices.pe
            tensors["slices"] = np.stack([self.truth.slices.lung, *scores.values()])
        head = {"name": self.name, "patient": self.patient, "kind": self.kind, "boxes": boxes, "pe": list(scores)}
        if self.truth.exam is not None:
            head["exam"] = to_json(self.truth.exam)
        head |= {"facts": to_json(self.study.facts), "warnings": [to_json(note) for note in self.study.warnings]}
        write_bytes(path, save(tensors, metadata={"format": FORMAT, "case": json.dumps(head)}))

    @classmethod
    def load(cls, path: Path) -> Case:
        """Read what `save` wrote, today or in an earlier version.

        Raises:
            InputError: E_NOT_A_CASE, the file is not a case.
        """
        from safetensors import SafetensorError

        try:
            return cls._read(path)
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError("E_NOT_A_CASE", f"{path.name} is damaged ({error}); make it again") from error

    @classmethod
    def _read(cls, path: Path) -> Case:
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            meta = file.metadata() or {}
            if meta.get("format") not in (FORMAT, *_SCORES):
                raise InputError("E_NOT_A_CASE", f"{path.name} is not a training case of this version; make it again")
            head = json.loads(meta["case"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        grid = Grid(tensors["hu"].shape, tensors["affine"])
        boxes = head["boxes"]
        embolus, labels, arteries = (
            Field(tensors[n], Box(**boxes[n])) if n in tensors else None for n in ("embolus", "labels", "arteries")
        )
        lungs = None
        if "lung_boxes" in tensors:
            lungs = Lungs(tensors["lung_boxes"], Box(**boxes["region"]) if boxes["region"] else None)
        slices = None
        if "slices" in tensors:
            lung, *scores = tensors["slices"]
            slices = Slices(lung, dict(zip(_SCORES.get(meta["format"]) or head["pe"], scores, strict=True)))
        # Files from before exams were kept whole hold the decision alone, and no facts and warnings.
        exam = Exam(head["decision"]) if "decision" in head else None
        exam = from_json(Exam, head["exam"], "exam") if "exam" in head else exam
        warnings = tuple(Note(**note) for note in head.get("warnings", ()))
        study = Study(tensors["hu"], grid, head.get("facts", {}), warnings=warnings)
        truth = Findings(grid, lungs=lungs, slices=slices, exam=exam, embolus=embolus, labels=labels, arteries=arteries)
        return cls(head["name"], head["patient"], head["kind"], study, truth)


def thin(case: Case, stage: Learned, pixel_mm: float, slice_mm: float, margin_mm: float = 20.0) -> Case:
    """The case at the resolution of a stage, cut to its lung region: a tenth of the memory, the same views.

    Planes are cut by the stage's own code on its own millimetre lattice, so that a network in training sees what it
    will see when it runs.

    Args:
        case: At the scanner's resolution.
        stage: Cuts one plane a patch (a stage for neighbouring slices: one made with `slices=1`), and answers
            embolus and artery.
        pixel_mm: The stage's distance of points.
        slice_mm: The stage's distance of slices.
        margin_mm: How much is kept around the lung region.
    """
    study, truth, grid = case.study, case.truth, case.study.grid
    region = truth.lungs.region if truth.lungs else None
    region = region or Box(0, grid.shape[0], 0, grid.shape[1], 0, grid.shape[2])
    dz, dy, dx = (round(margin_mm / s) for s in grid.spacing)
    box = region.grow((dz, dy, dx), grid.shape)
    size = (round(box.shape[1] * grid.spacing[1] / pixel_mm), round(box.shape[2] * grid.spacing[2] / pixel_mm))
    centre = ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2)
    patches = [grid.patch(z, centre, pixel_mm, size) for z in grid.every(slice_mm, box.z0, box.z1)]
    hu = np.stack([np.rint(stage.crop(study, patch)[0]).astype(np.int16) for patch in patches])
    answers = np.stack([stage.target(study, truth, patch)[:2] for patch in patches], axis=1)

    first, last = patches[0], patches[-1]
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.to_mm(np.array([first.z, first.y, first.x]))
    affine[:3, :3] *= [(last.z - first.z) / max(len(patches) - 1, 1), *first.step]
    small = Grid(hu.shape, affine)
    whole = Box(0, len(patches), 0, size[0], 0, size[1])
    embolus, arteries = (
        None if known is None else Field(np.rint(answer * 255).astype(np.uint8), whole)
        for known, answer in zip((truth.embolus, truth.arteries), answers, strict=True)
    )
    lungs = Lungs(np.full((len(patches), 2, 4), np.nan, np.float32), whole)
    known = Findings(small, lungs=lungs, embolus=embolus, arteries=arteries, exam=truth.exam)
    return replace(case, study=Study(hu, small), truth=known)
