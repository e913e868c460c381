"""The threshold-and-components lung finder, on painted bodies and on real CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cascade.anatomy.lungs import LungFinder, body_centre, find_lungs, reference_of
from cascade.core.findings import Exam, Findings
from cascade.core.grid import Box, Grid
from cascade.core.study import Study
from cascade.reading import read
from tests.strategies import chest, cropped, stored


def body(shape: tuple[int, int, int] = (40, 128, 160), spacing: tuple[float, float, float] = (5.0, 2.5, 2.5)) -> Study:
    """A body without lungs, in air."""
    hu = np.full(shape, -1000, np.int16)
    _, y, x = millimetres(shape, spacing)
    hu[:, ((y / 90) ** 2 + (x / 140) ** 2 < 1)[0]] = 40
    return Study(hu, Grid.simple(shape, spacing))


def millimetres(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> list[NDArray[np.float64]]:
    """Distances from the middle, mm, ready to broadcast."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return [a.reshape([-1 if i == k else 1 for k in range(3)]) for i, a in enumerate(axes)]


def painted(study: Study, where: NDArray[np.bool_], hu: int) -> Study:
    values = study.hu.copy()
    values[np.broadcast_to(where, values.shape)] = hu
    return Study(values, study.grid)


def test_both_lungs_are_found_with_their_volumes() -> None:
    found = find_lungs(chest()[0])
    # Two ellipsoids of 105 x 80 x 52 mm half axes hold 1830 ml each, less the artery that runs into them.
    assert found.right_ml == pytest.approx(1800, rel=0.05)
    assert found.left_ml == pytest.approx(1800, rel=0.05)


def test_the_right_lung_is_where_x_is_small() -> None:
    found = find_lungs(chest()[0])
    middle = found.sides.shape[2] / 2
    assert np.argwhere(found.sides == 1)[:, 2].max() < middle < np.argwhere(found.sides == 2)[:, 2].min()


def test_a_body_without_lungs_gives_nothing() -> None:
    found = find_lungs(body())
    assert not found.found
    assert not found.mask.any()
    assert np.isnan(found.boxes).all()


def test_bowel_gas_is_no_lung() -> None:
    study = body()
    z, y, x = millimetres(study.hu.shape, study.grid.spacing)
    gas = ((y + 40) / 30) ** 2 + ((x - 20) / 60) ** 2 + (z / 60) ** 2 < 1
    assert not find_lungs(painted(study, gas, -1000)).found


def test_the_trachea_is_no_lung() -> None:
    study = chest(height_mm=330.0)[0]
    _, y, x = millimetres(study.hu.shape, study.grid.spacing)
    trachea = (y + 20) ** 2 + x**2 < 9**2
    above = painted(study, trachea & (np.arange(study.hu.shape[0])[:, None, None] > study.hu.shape[0] // 2 + 8), -1000)
    found = find_lungs(above)
    assert np.isnan(found.boxes[-8:]).all()
    assert not found.mask[:, :, abs(x[0, 0]) < 9].any()


def test_lungs_that_touch_in_front_are_parted() -> None:
    study = chest()[0]
    z, y, x = millimetres(study.hu.shape, study.grid.spacing)
    bridge = (abs(x) < 30) & (abs(y + 30) < 5) & (abs(z) < 30)
    found = find_lungs(painted(study, bridge, -850))
    assert found.right_ml == pytest.approx(found.left_ml, rel=0.15)
    assert found.right_ml > 1500


def test_one_lung_is_called_by_its_side() -> None:
    study = chest()[0]
    _, _, x = millimetres(study.hu.shape, study.grid.spacing)
    found = find_lungs(painted(study, (x > 5) & (study.hu < -500) & (abs(x) < 130), 40))
    assert found.right_ml > 1500
    assert found.left_ml == 0


@pytest.mark.parametrize("slice_mm", [1.5, 10.0, 20.0])
def test_slice_distance_changes_volumes_little(slice_mm: float) -> None:
    found = find_lungs(chest(spacing=(slice_mm, 1.5, 1.5))[0])
    assert found.right_ml == pytest.approx(1800, rel=0.08)


def test_a_single_slice_is_enough() -> None:
    study = chest()[0]
    middle = study.hu.shape[0] // 2
    one = cropped(study, Box(middle, middle + 1, 0, study.hu.shape[1], 0, study.hu.shape[2]))
    assert np.isfinite(find_lungs(one).boxes).all()


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_outside_the_scan_circle_changes_nothing(padding: int) -> None:
    study = chest(noise_hu=5.0)[0]
    _, y, x = millimetres(study.hu.shape, study.grid.spacing)
    padded = find_lungs(painted(study, y**2 + x**2 > 160**2, padding))
    assert np.array_equal(padded.boxes, find_lungs(study).boxes, equal_nan=True)


def test_a_lung_that_the_scan_circle_cuts_is_kept() -> None:
    study = chest(noise_hu=5.0)[0]
    _, y, x = millimetres(study.hu.shape, study.grid.spacing)
    whole, cut = find_lungs(study), find_lungs(painted(study, y**2 + x**2 > 118**2, -3024))
    assert cut.right_ml > 0.9 * whole.right_ml
    assert cut.left_ml > 0.9 * whole.left_ml


def test_a_hollow_table_is_no_lung() -> None:
    study = body()
    _, y, x = millimetres(study.hu.shape, study.grid.spacing)
    shell = (abs(x) < 150) & (y > 100) & (y < 140)
    core = (abs(x) < 147) & (y > 103) & (y < 138)
    table = painted(painted(study, shell, -200), core, -900)
    assert not find_lungs(table).found


def test_air_cropped_away_moves_neither_lungs_nor_centre() -> None:
    study = chest(spacing=(3.0, 1.7, 1.7))[0]
    box = Box(0, study.hu.shape[0], 9, study.hu.shape[1] - 4, 5, study.hu.shape[2] - 3)
    part = cropped(study, box)
    whole, small = find_lungs(study), find_lungs(part)
    assert np.mean(whole.sides[box.slices] == small.sides) > 0.9999
    y, x = body_centre(study)
    dy, dx = body_centre(part)
    assert (dy + box.y0, dx + box.x0) == pytest.approx((y, x), abs=0.3)


def test_the_same_patient_in_another_order_has_the_same_lungs() -> None:
    study = chest()[0]
    other = stored(study, (2, 0, 1), (True, False, True))
    assert np.array_equal(find_lungs(study).sides, find_lungs(other).sides)


def test_the_table_does_not_move_the_centre() -> None:
    study = chest(noise_hu=5.0)[0]
    _, y, x = millimetres(study.hu.shape, study.grid.spacing)
    table = painted(study, (abs(x) < 150) & (abs(y - 118) < 3), 300)
    assert body_centre(table) == pytest.approx(body_centre(study), abs=1.0)


@pytest.mark.data
@pytest.mark.parametrize("name", ["acrin-nsclc-042", "covid-ct-md-normal001", "lung1-003-contrast"])
def test_real_chests_have_two_lungs_and_no_lung_at_the_neck(shared: Path, name: str) -> None:
    found = find_lungs(read(shared / "dicom" / name))
    assert 1000 < found.right_ml < 4500
    assert 1000 < found.left_ml < 4500
    assert np.isnan(found.boxes[-1]).all()


@pytest.mark.data
def test_a_head_has_no_lungs(shared: Path) -> None:
    assert not find_lungs(read(shared / "dicom" / "cptac-head-vault")).found


def test_as_a_stage_it_leaves_its_answer_in_the_findings_and_changes_nothing_else() -> None:
    study, _ = chest()
    before, steps = Findings(study.grid, exam=Exam("negative")), list[tuple[str, int, int]]()
    after = LungFinder()(study, before, lambda name, done, total: steps.append((name, done, total)))
    assert after.reference is not None
    assert np.array_equal(after.reference.sides, find_lungs(study).sides)
    assert replace(after, reference=None) == before
    assert steps == [("lung_finder", 1, 1)]


def test_what_the_findings_hold_is_not_searched_for_again() -> None:
    study, _ = chest()
    held = LungFinder()(study, Findings(study.grid))
    assert reference_of(study, held) is held.reference
    assert reference_of(study, Findings(study.grid)).right_ml == find_lungs(study).right_ml
