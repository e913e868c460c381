from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cascade.bench.picture import centre, draw
from cascade.core.findings import Exam, Field, Findings, Slices
from cascade.core.grid import Box, Grid, Order
from cascade.core.study import Study

GRID = Grid.simple((10, 40, 40), (3.0, 2.0, 2.0))
STUDY = Study(np.full(GRID.shape, 40, np.int16), GRID)


def lesion(z: slice, y: slice, x: slice) -> Findings:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[z, y, x] = 1
    return Findings(GRID, labels=Field(labels, Box(0, 10, 0, 40, 0, 40)), exam=Exam("positive", 0.9))


def at(findings: Findings, truth: Findings | None = None) -> tuple[int, int, int]:
    masks = [None if f is None else f.lesion_mask() > 0 for f in (findings, truth)]
    answer = masks[0]
    assert answer is not None
    return centre(STUDY, findings, answer, masks[1])


def test_the_picture_shows_the_slice_with_most_of_the_lesion():
    found = lesion(slice(2, 6), slice(10, 13), slice(20, 23))
    values = np.array(found.lesion_mask())
    values[4, 10:16, 20:23] = 1
    found = Findings(GRID, labels=Field(values, Box(0, 10, 0, 40, 0, 40)))
    assert at(found)[0] == 4


def test_a_bent_clot_is_looked_at_on_itself_and_not_in_its_bend():
    values = np.zeros(GRID.shape, np.uint8)
    values[5, 10:30, 10], values[5, 10, 10:30], values[5, 29, 10:30] = 1, 1, 1
    z, y, x = at(Findings(GRID, labels=Field(values, Box(0, 10, 0, 40, 0, 40))))
    assert values[z, y, x]


def test_without_a_lesion_the_truth_is_shown_and_without_both_the_most_suspicious_slice():
    nothing = Findings(GRID)
    assert at(nothing, lesion(slice(7, 8), slice(3, 5), slice(3, 5)))[0] == 7
    scores = np.linspace(0, 1, 10).astype(np.float32)[::-1].copy()
    assert at(Findings(GRID, slices=Slices(scores, {"one": scores})))[0] == 0


def test_the_answer_is_red_and_the_truth_green(tmp_path: Path):
    answer = lesion(slice(2, 6), slice(10, 16), slice(10, 16))
    draw(STUDY, answer, tmp_path / "a.png", lesion(slice(2, 6), slice(24, 32), slice(24, 32)))
    picture = cv2.imread(str(tmp_path / "a.png")).astype(int)
    blue, green, red = (picture[..., i] for i in range(3))
    assert ((red > 200) & (green < 110) & (blue < 110)).sum() > 50
    assert ((green > 180) & (red < 110) & (blue < 110)).sum() > 50
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_picture_counts_slices_as_the_tables_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.axes import Axes

    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda axis, text, **how: titles.append(text))
    grid = replace(GRID, order=Order((0, 1, 2), (True, False, False)))
    answer = replace(lesion(slice(2, 3), slice(10, 16), slice(10, 16)), grid=grid)
    draw(replace(STUDY, grid=grid), answer, tmp_path / "a.png")
    assert titles[0].startswith("slice 7, ")  # of ten, and the source runs from head to feet
