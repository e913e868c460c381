from __future__ import annotations

import dataclasses

import numpy as np

from cascade.simulation import (
    LABELS,
    Anatomy,
    Simulation,
    augment,
    capillaries,
    contrast,
    emboli,
    landmarks,
    lungs,
    noise,
    scanner,
    shapes,
    texture,
    tree,
    wall,
)
from cascade.simulation.canvas import Canvas
from tests.simulation.conftest import SMALL


def _canvas(anatomy: Anatomy) -> Canvas:
    return augment.lay(anatomy, SMALL, 400.0, np.random.default_rng(2))


def test_paths_lead_from_the_trunk_outwards(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    marks = landmarks.find(canvas)
    paths = tree.grow(canvas.artery, marks.trunk, canvas.mm).paths(20, np.random.default_rng(0))
    assert len(paths) >= 10
    for path in paths:
        assert np.linalg.norm(path.points[0] - marks.trunk) * canvas.mm < 15
        assert path.radius[-1] < path.radius.max()
        assert (np.diff(path.along) >= 0).all()


def test_landmarks_stand_where_they_should(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    marks = landmarks.find(canvas)
    assert marks.trunk[1] < marks.fork[1]  # the trunk begins in front
    assert marks.trunk[0] < marks.fork[0]
    assert marks.hila[0][2] < marks.fork[2] < marks.hila[1][2]
    spine_y = marks.spine[int(marks.fork[0]), 0]
    assert marks.atrium[1] < spine_y
    assert marks.right.any((0, 1)).argmax() < marks.right.shape[2] / 2


def test_volumes_of_clots_are_like_those_of_patients() -> None:
    rng = np.random.default_rng(0)
    drawn = [emboli.volumes(Simulation(), rng) for _ in range(400)]
    counts = np.array([len(v) for v in drawn])
    burden = np.array([v.sum() for v in drawn])
    single = np.concatenate(drawn)
    assert 2 <= np.median(counts) <= 3
    assert counts.max() <= 15
    assert 4 < np.median(burden) < 9
    assert 0.4 < np.median(single) < 2.0


def test_a_ball_has_its_volume() -> None:
    got = shapes.ellipsoid((40, 40, 40), np.array([20.0, 20, 20]), np.array([9.0, 9, 9]))
    assert got is not None
    assert abs(shapes.soft(got[1]).sum() / (4 / 3 * np.pi * 9**3) - 1) < 0.03


def test_smooth_noise_is_about_standard() -> None:
    field = shapes.noise((60, 80, 90), 8.0, np.random.default_rng(0))
    assert abs(float(field.mean())) < 0.2
    assert 0.6 < float(field.std()) < 1.4


def test_noise_of_a_soft_kernel_is_coarser_than_of_a_sharp_one() -> None:
    def likeness(sharpness: float) -> float:
        scan = scanner.Scan(0.7, 1.0, 1.0, 10.0, sharpness, (0.0, 0.0), np.arange(3.0), 128)
        plane = noise.Noise(scan, np.random.default_rng(0), pool=3).plane()
        assert abs(plane.std() - 1) < 0.15
        return float((plane[:, 1:] * plane[:, :-1]).mean())

    assert likeness(0.0) > likeness(1.0) + 0.2


def test_labels_have_one_number_each() -> None:
    assert len(set(LABELS.values())) == len(LABELS)
    assert [LABELS[n] for n in ("artery", "vein", "lung", "airway", "heart", "aorta")] == [1, 2, 3, 4, 5, 6]


def test_thin_vessels_brighten_lung_and_nothing_else(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    canvas.hu[canvas.lung >= 128] = -850
    before = canvas.hu.copy()
    bolus = contrast.draw(SMALL, np.random.default_rng(1))
    capillaries.paint(canvas, landmarks.find(canvas), bolus, np.random.default_rng(0))
    changed = canvas.hu != before
    assert 0.005 < changed.sum() / (canvas.lung >= 128).sum() < 0.6
    assert (canvas.hu[changed] > before[changed]).all()
    assert (canvas.lung[changed] > 0).all()


def test_texture_keeps_the_mean_of_a_tissue_and_forgets_clots(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    canvas.lung[:] = 0
    canvas.lung[5:40, 20:60, 10:50] = 255
    canvas.hu[:] = np.where(np.arange(canvas.shape[2]) < canvas.shape[2] // 2, 350, 45)
    canvas.labels[:] = LABELS["aorta"]
    amount = texture.draw(1.0, 1.0, np.random.default_rng(0))
    plane = texture.Texture(canvas, amount, np.random.default_rng(1))[20]
    bright = canvas.hu[20] > 100
    assert abs(plane[bright].mean()) < 6
    assert plane[bright].std() > 4
    assert plane[~bright].std() < plane[bright].std()


def test_iterative_reconstruction_moves_noise_to_low_frequencies() -> None:
    f = np.linspace(0.01, 0.8, 60)
    plain, smooth = (noise.spectrum(f, 0.2, share) for share in (0.0, 0.8))
    assert (f * smooth * f).sum() / (f * smooth).sum() < (f * plain * f).sum() / (f * plain).sum() - 0.03


def test_fissures_lie_in_lung(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    canvas.hu[canvas.lung >= 128] = -850
    before = canvas.hu.copy()
    lungs.fissures(canvas, landmarks.find(canvas), np.random.default_rng(0))
    changed = canvas.hu > before + 20
    assert changed.any()
    assert (canvas.lung[changed] >= 128).all()
    assert canvas.hu[changed].max() < -500


def test_the_table_lies_behind_the_body_and_not_in_it(anatomy: Anatomy) -> None:
    canvas = _canvas(anatomy)
    before = canvas.hu.copy()
    wall.table(canvas, dataclasses.replace(SMALL, table=1.0), np.random.default_rng(0))
    changed = canvas.hu != before
    assert changed.any()
    assert not changed[canvas.labels > 0].any()
    body = np.flatnonzero((canvas.labels > 0).any((0, 2)))
    assert np.nonzero(changed)[1].mean() > body[-1]
