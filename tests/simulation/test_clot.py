"""What a clot does to a straight artery that forks, in lung."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cascade.simulation import LABELS, Simulation, clot, emboli, tree
from cascade.simulation.canvas import Canvas
from cascade.simulation.tree import Path, Tree

WHOLE = (slice(0, 120), slice(0, 40), slice(0, 100))


def _lung() -> tuple[Canvas, Tree, list[Path]]:
    z, y, x = np.indices((120, 40, 100)).astype(np.float32)
    reach = np.where(z < 60, 0, z - 60) * 0.6
    radius = np.where(z < 60, 6.0, 3.5)
    away = np.hypot(y - 20, np.abs(np.abs(x - 50) - reach))
    artery = np.rint(255 * np.clip(radius - away + 0.5, 0, 1) * ((z > 4) & (z < 115))).astype(np.uint8)
    empty = np.zeros(artery.shape, np.uint8)
    hu = (-850 + artery / np.float32(255) * 1200).astype(np.float32)
    labels = np.where(artery > 127, LABELS["artery"], LABELS["lung"]).astype(np.uint8)
    grown = tree.grow(artery, np.array([5.0, 20, 50]), 1.0)
    ends = np.flatnonzero(grown.voxels[:, 0] >= 112)
    canvas = Canvas(hu, labels, artery, empty, np.full(artery.shape, 255, np.uint8), 1.0)
    return canvas, grown, [grown.path(int(i)) for i in ends[:: max(1, len(ends) // 30)]]


def _painted(seed: int = 0, **ranges: object) -> tuple[Canvas, Canvas, np.ndarray, list[emboli.Clot]]:
    before, _, paths = _lung()
    after = dataclasses.replace(before, hu=before.hu.copy(), artery=before.artery.copy())
    config = dataclasses.replace(Simulation(emboli=(1, 1), burden_ml=(2.0, 2.0)), **ranges)  # type: ignore[arg-type]
    blood = np.full(before.hu.shape, 350, np.float32)
    fraction, _, clots = emboli.paint(after, WHOLE, blood, paths, config, np.random.default_rng(seed))
    return before, after, fraction >= 128, clots


def test_a_clot_that_fills_its_artery_widens_it_and_leaves_no_bright_rim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emboli, "TIGHT", 1.0)
    before, after, mask, clots = _painted(
        occlusive=(1.0, 1.0), chronic=0.0, sheets=0.0, starved=0.0, widening=(0.25, 0.25)
    )
    assert [c.kind for c in clots] == ["occlusive"]
    assert after.artery[mask].min() >= 128
    middle = int(np.median(np.nonzero(mask)[0]))
    assert (after.artery[middle] >= 128).sum() > 1.15 * (before.artery[middle] >= 128).sum()
    assert after.hu[middle][mask[middle]].max() < 130


def test_a_sheet_has_blood_on_both_sides() -> None:
    _, after, mask, clots = _painted(sheets=1.0, seed=1)
    assert [c.kind for c in clots] == ["sheet"]
    lumen = after.artery >= 250
    assert (lumen & ~mask & (after.hu > 300)).sum() > mask.sum()


def test_no_clot_lies_near_the_root() -> None:
    for seed in range(4):
        _, _, mask, _ = _painted(seed=seed)
        assert np.nonzero(mask)[0].min() > emboli.ROOT_MM


def test_blood_behind_a_full_artery_darkens_and_is_no_clot() -> None:
    before, after, mask, clots = _painted(
        seed=4, occlusive=(1.0, 1.0), chronic=0.0, sheets=0.0, starved=1.0, burden_ml=(0.6, 0.6)
    )
    assert clots[0].kind == "occlusive"
    darker = (before.hu - after.hu > 40) & (before.artery == 255) & ~mask
    assert darker.any()


def test_what_lies_behind_a_cut_hangs_on_it() -> None:
    _, grown, _ = _lung()
    cut = (grown.voxels[:, 0] == 90) & (grown.voxels[:, 2] > 50)
    behind = grown.voxels[grown.behind(cut)]
    assert (behind[:, 0] >= 90).all()
    assert (behind[:, 2] > 50).all()
    assert behind[:, 0].max() > 110


def test_a_voxel_at_the_wall_knows_how_wide_its_artery_is() -> None:
    _, grown, _ = _lung()
    stem = (grown.voxels[:, 0] > 20) & (grown.voxels[:, 0] < 50)
    assert np.percentile(grown.calibre(8.0)[stem], 2) > 4


def test_ways_part_where_the_artery_forks() -> None:
    _, _, paths = _lung()
    net = clot.Net.of(paths, 1.0)
    assert 55 <= net.fork_mm <= 100
