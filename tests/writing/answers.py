"""Findings about a tiny study, and Hypothesis strategies of findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cascade.core.findings import Contribution, Exam, Field, Findings, Lesion, Lungs, Quality, Slices
from cascade.core.grid import Box, Grid, Order
from cascade.core.study import Note, Study

SHAPE = (6, 16, 20)
BOX = Box(1, 5, 2, 14, 3, 18)


def study(order: Order | None = None) -> Study:
    """A tiny study whose voxels are all different enough."""
    hu = np.add.outer(np.arange(6) * 100 - 900, np.add.outer(np.arange(16) * 20, np.arange(20) * 3)).astype(np.int16)
    grid = Grid(SHAPE, Grid.simple(SHAPE, (2.5, 0.75, 0.5), (-20.0, 11.0, 105.0)).affine, order or Order())
    facts = {"kernel": "B30f", "series": {"number": 4, "why_chosen": "the only CT volume"}}
    return Study(hu, grid, facts, tuple(f"1.2.{k}" for k in range(6)))


def answer(grid: Grid | None = None, **changes: Any) -> Findings:
    """Findings with every field filled."""
    grid = grid or study().grid
    labels = np.zeros(BOX.shape, np.uint8)
    labels[1:3, 2:5, 2:6], labels[2, 8:10, 9:12] = 1, 2
    probability = (labels > 0) * np.uint8(230)
    probability[0, 0, 0] = 90
    boxes = np.full((6, 2, 4), np.nan, np.float32)
    boxes[1:5, 0], boxes[2:5, 1] = (3.25, 2, 9.5, 14), (11, 2.1, 17.75, 13)
    scores = np.linspace(0.1, 0.9, 6).astype(np.float32)
    unseen = scores.copy()
    unseen[0] = np.nan
    values = {
        "grid": grid,
        "lungs": Lungs(boxes, BOX),
        "slices": Slices(scores, {"lung_filter": unseen, "siamese": unseen[::-1].copy()}),
        "embolus": Field(probability, BOX),
        "labels": Field(labels, BOX),
        "arteries": Field(np.full(BOX.shape, 40, np.uint8), BOX),
        "std": Field(np.full(BOX.shape, 7, np.uint8), BOX),
        "lesions": (
            Lesion(1, 24, 22.5, 0.91, 0.902, 0.9, (-12.5, 15.0, 110.0), (2, 3), "right", 0.157, "lobar", 0.03),
            Lesion(2, 6, 5.625, 0.4, 0.902, 0.9, (-8.0, 20.0, 112.5), (3, 3), "left"),
        ),
        "exam": Exam(
            "positive",
            0.871234,
            "balanced",
            "A lesion of 23 mm3 <right>.",
            (Contribution("lesion", 0.91, 2.5), Contribution("slices", 0.9, -0.75)),
        ),
        "quality": Quality(True, 4300.5, 310.0, "arteries", 0.02, 18.25),
        "warnings": (Note("W_FEW_SLICES", "series 4 has 6 slices, a decision needs 20"),),
        "provenance": {
            "study": study().id,
            "series": study().facts["series"],
            "facts": {"kernel": "B30f"},
            "bundle": {"name": "default", "sha256": "ab" * 32},
            "version": "0.1.0",
            "stages": ["embolus"],
        },
    }
    return Findings(**{**values, **changes})


def truth() -> Findings:
    """The belief of someone who knows: probabilities of 0 and 1."""
    labels = answer().labels
    known = Field((labels.values > 0) * np.uint8(255), BOX)
    return answer(embolus=known, std=None, arteries=Field(np.full(BOX.shape, 255, np.uint8), BOX))


ORDERS = st.builds(Order, st.permutations((0, 1, 2)).map(tuple), st.tuples(st.booleans(), st.booleans(), st.booleans()))


FIELDS = ("lungs", "slices", "embolus", "labels", "arteries", "exam", "quality")


@st.composite
def findings(draw: Any) -> Findings:
    """Findings with any fields unknown, in any source order."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    grid = study(draw(ORDERS)).grid
    scores = [rng.random(6).astype(np.float32) for _ in range(3)]
    scores[draw(st.integers(0, 2))][draw(st.integers(0, 5))] = np.nan
    lung, *pe = scores
    slices = Slices(lung, dict(zip(("lung_filter", "siamese"), pe, strict=True)))
    full = answer(grid, slices=slices, embolus=Field(rng.integers(0, 256, BOX.shape).astype(np.uint8), BOX))
    lesions = tuple(
        Lesion(n + 1, 3, float(rng.random() * 100), *rng.random(3).tolist(), (1.0, 2.0, 3.0), (1, 2), "both")
        for n in range(draw(st.integers(0, 4)))
    )
    marked = np.zeros(BOX.shape, np.uint8)
    marked[0, 0, : len(lesions)] = [lesion.number for lesion in lesions]
    full = replace(full, labels=Field(marked, BOX))
    unknown = draw(st.sets(st.sampled_from(FIELDS)))
    changes: dict[str, Any] = dict.fromkeys(unknown)
    values = {
        name: getattr(full, name) for name in ("lungs", "slices", "embolus", "labels", "arteries", "exam", "quality")
    }
    return answer(grid, **{**values, "lesions": lesions, **changes})
