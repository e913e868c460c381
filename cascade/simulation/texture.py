"""What keeps real tissue from being flat: fat in muscle, strands in fat, uneven blood, grain in bone, thin vessels.

A texture is HU to add to a painted canvas, slice by slice and never held whole. It follows the canvas as it stands, so
that a clot loses the unevenness of the blood it replaced. Labels and truth do not change.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from cascade.simulation.canvas import LABELS, Canvas
from cascade.simulation.shapes import F32, SPREAD

BLOOD = ("artery", "vein", "heart", "aorta", "cava")
PLAIN_HU, LUNG_HU = 45.0, -860.0


@dataclasses.dataclass(frozen=True)
class Amount:
    """How uneven one person's tissues are.

    Attributes:
        muscle: Depth of fat streaks in muscle, HU.
        patches: Standard deviation between parts of muscle, HU.
        strands: Height of strands in fat, HU.
        fine: Standard deviation of fine grain in soft tissue, HU.
        blood: Relative standard deviation of blood from place to place, in arteries.
        heart: The same in the heart and the great veins.
        bone: Standard deviation of marrow, HU.
        organ: How much brighter (or darker) veins of the liver are, HU.
        thin: How much of its brightness the thinnest vessel keeps, 0..1.
    """

    muscle: float
    patches: float
    strands: float
    fine: float
    blood: float
    heart: float
    bone: float
    organ: float
    thin: float


def draw(low: float, high: float, rng: np.random.Generator) -> Amount:
    """Draw amounts, all of them multiplied by a common factor between `low` and `high`."""
    much = float(rng.uniform(low, high))
    muscle, patches, strands, fine, blood, heart, bone = (
        float(much * rng.uniform(*between))
        for between in ((40, 125), (8, 19), (20, 90), (3, 12), (0.015, 0.065), (0.03, 0.10), (15, 60))
    )
    return Amount(
        muscle, patches, strands, fine, blood, heart, bone, float(rng.uniform(-20, 45)), float(rng.uniform(0.1, 0.65))
    )


class SmoothNoise:
    """Smooth noise on a canvas, a plane at a time: mean 0 and standard deviation near 1."""

    def __init__(self, shape: tuple[int, int, int], size: tuple[float, float, float], rng: np.random.Generator) -> None:
        self.shape, self.step = shape, size[0]
        counts = [max(3, int(np.ceil(n / s)) + 2) for n, s in zip(shape, size, strict=True)]
        self.knots = rng.standard_normal(counts, dtype=np.float32) * np.float32(SPREAD[2])

    def __call__(self, z: int) -> F32:
        """Plane `z`, float32 `[y, x]`."""
        at = min(max(z / self.step, 0.0), len(self.knots) - 1.001)
        low = int(at)
        part = at - low
        plane = (1 - part) * self.knots[low] + part * self.knots[low + 1]
        plane /= np.hypot(part, 1 - part)
        return np.asarray(cv2.resize(plane, self.shape[:0:-1], interpolation=cv2.INTER_CUBIC), np.float32)


class Texture:
    """HU to add to each canvas slice; `texture[z]` is float32 `[y, x]`."""

    def __init__(self, canvas: Canvas, amount: Amount, rng: np.random.Generator) -> None:
        self.canvas, self.amount = canvas, amount
        mm = canvas.mm

        def field(z: float, y: float, x: float) -> SmoothNoise:
            return SmoothNoise(canvas.shape, (max(z / mm, 1.0), max(y / mm, 1.0), max(x / mm, 1.0)), rng)

        self.across, self.along = field(16, 3.2, 9), field(16, 8, 3.2)
        self.slow, self.where = field(35, 32, 32), field(25, 22, 22)
        self.septa, self.wisps = field(14, 9, 12), field(9, 5, 7)
        self.grain, self.mottle = field(2.5, 2.0, 2.0), field(6, 5, 5)
        self.swirl = field(10, 8, 8)
        self.kept: dict[int, F32] = {}
        columns, rows = (np.flatnonzero(canvas.lung.max(axis=axes) >= 128) for axes in ((0, 1), (0, 2)))
        y, x = (np.arange(n, dtype=np.float32) for n in canvas.shape[1:])
        y, x = np.abs(y - (rows[0] + rows[-1]) / 2), np.abs(x - (columns[0] + columns[-1]) / 2)
        self.beside = np.clip((x[None, :] - 0.9 * y[:, None]) * mm / 20 + 0.5, 0, 1)
        self.stir = np.zeros(256, np.float32)
        for name in BLOOD:
            self.stir[LABELS[name]] = amount.blood if name in ("artery", "vein", "aorta") else amount.heart

    def __getitem__(self, z: int) -> F32:
        """The texture of canvas slice `z`; the last few are kept, as slices overlap."""
        if z not in self.kept:
            if len(self.kept) > 12:
                del self.kept[min(self.kept)]
            self.kept[z] = self._paint(z)
        return self.kept[z]

    def _paint(self, z: int) -> F32:
        amount, canvas = self.amount, self.canvas
        hu, labels = canvas.hu[z], canvas.labels[z]
        slow, where, grain, mottle = self.slow(z), self.where(z), self.grain(z), self.mottle(z)
        soft = _band(hu, -10, 20, 110, 150)
        fat = _band(hu, -150, -120, -65, -35) * (canvas.lung[z] < 30)
        muscle = soft * (labels == LABELS["body"])
        bone = (labels == LABELS["bone"]) * np.clip(hu / 300, 0, 1.5)
        out = soft * (amount.fine * (0.6 * mottle + 0.8 * grain)) + muscle * (amount.patches * slow)
        # Fat lies where smooth noise changes its sign, in some muscles more than in others.
        lean = np.clip(0.45 + 0.6 * where, 0, 1.5)
        fibres = self.across(z) + self.beside * (self.along(z) - self.across(z))
        out -= muscle * (amount.muscle * lean * np.exp(-np.square(fibres / 0.3)))
        strands = np.exp(-np.square(self.septa(z) / 0.13)) + 0.6 * np.exp(-np.square(self.wisps(z) / 0.16))
        out += fat * (amount.strands * np.clip(0.6 + 0.5 * where, 0, 1.3) * strands)
        vessels = np.exp(-np.square(self.septa(z) / 0.13)) * (labels == LABELS["liver"])
        out += soft * vessels * amount.organ
        out += fat * (3.0 * slow + 0.5 * amount.fine * grain) + bone * (amount.bone * (0.7 * grain + 0.6 * mottle))
        stir = self.stir[labels] * np.clip(hu - PLAIN_HU, 0, None)
        out += stir * (0.7 * self.swirl(z) + 0.55 * mottle + 0.25 * grain)
        if amount.thin < 1:
            out -= self._faint(z, hu)
        return np.asarray(out, np.float32)

    def _faint(self, z: int, hu: F32) -> F32:
        """What thin vessels in the lung lose: the label map draws them wider than a scanner shows them."""
        canvas = self.canvas
        share = np.maximum(canvas.artery[z], canvas.vein[z]).astype(np.float32) * np.float32(1 / 255)
        lung = canvas.lung[z].astype(np.float32) * np.float32(1 / 255)
        around = cv2.GaussianBlur(share, (0, 0), 1.7 / canvas.mm)
        thick = np.clip((around - 0.25) / 0.5, 0, 1)
        lost = share * lung * (1 - self.amount.thin) * (1 - thick)
        return np.asarray(lost * np.clip(hu - LUNG_HU, 0, None), np.float32)


def _band(hu: F32, a: float, b: float, c: float, d: float) -> F32:
    """1 between `b` and `c`, falling to 0 at `a` and `d`, HU."""
    return np.asarray(np.clip(np.minimum((hu - a) / (b - a), (d - hu) / (d - c)), 0, 1), np.float32)
