"""How like a scanner's a study looks: noise, spectrum, likeness of slices, HU of tissues, texture, edges.

Nothing but HU is used, so that real and simulated studies are measured in the same way. Where a study does not show
enough of a tissue, its figures are None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.anatomy.lungs import find_lungs
from cascade.anatomy.morphology import disc, grown
from cascade.core.study import Study

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

PATCH_MM = 14.0
LAGS_MM = (1.0, 2.0, 4.0)
LEAST_PATCHES, MOST_PATCHES = 6, 600
PLANES = 36


def figures(study: Study, planes: int = PLANES) -> dict[str, float | None]:
    """Measure one study on about `planes` of its slices. Keys say tissue, figure and unit."""
    _, dy, dx = study.grid.spacing
    lungs = find_lungs(study).mask
    level = np.flatnonzero(lungs.any(axis=(1, 2)))
    low, high = (int(level[0]), int(level[-1])) if level.size else (0, study.hu.shape[0] - 1)
    chosen = np.unique(np.linspace(low, max(high - 1, low), planes).astype(int))
    tissue = {name: _Patches(dy, dx) for name in ("blood", "muscle", "organ", "air")}
    values: dict[str, list[F32]] = {name: [] for name in ("lung", "lung vessel", "fat", "soft")}
    rough: dict[str, list[F32]] = {name: [] for name in ("lung", "fat", "soft")}
    edge = _Edge(dx)
    slope: list[float] = []
    for z in chosen:
        plane = study.hu[z].astype(np.float32)
        after = study.hu[min(z + 1, study.hu.shape[0] - 1)].astype(np.float32)
        scene = _Scene(plane, lungs[z], dx)
        for name, patches in tissue.items():
            patches.add(plane, after, scene.masks[name])
        for name, kept in values.items():
            kept.append(plane[scene.masks[name]][::3])
        for name, band in (("lung", (0.8, 2.5)), ("fat", (1.5, 5.0)), ("soft", (1.5, 5.0))):
            rough[name].append(_band(plane, band, dx)[scene.masks[f"inner {name}"]][::3])
        edge.add(plane, lungs[z])
        if (gradient := _gravity(plane, scene.masks["inner lung"], dy)) is not None:
            slope.append(gradient)
    out: dict[str, float | None] = {}
    for name, patches in tissue.items():
        out.update({f"{name} {key}": value for key, value in patches.figures().items()})
    for name, kept in values.items():
        whole = np.concatenate(kept)
        for q in (5, 25, 50, 75, 95):
            out[f"{name} HU {q}%"] = float(np.percentile(whole, q)) if whole.size > 500 else None
    for name, kept in rough.items():
        whole = np.concatenate(kept)
        out[f"{name} texture HU"] = float(whole.std()) if whole.size > 500 else None
    share = sum(len(n) for n in values["lung vessel"]) / max(sum(len(n) for n in values["lung"]), 1)
    out["lung vessel share %"] = 100 * share if level.size else None
    out["lung gravity HU/10cm"] = float(np.median(slope)) if len(slope) > 4 else None
    out.update(edge.figures())
    return out


def compare(real: Mapping[str, Mapping[str, Any]], simulated: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a figure: each real study, quantiles of the simulated, and how many real values lie between 5 and 95 %."""
    rows = []
    names = next(iter(real.values())) if real else simulated[0]
    for name in names:
        row: dict[str, Any] = {"figure": name}
        known = [r[name] for r in real.values() if r[name] is not None]
        row.update({study: _short(values[name]) for study, values in real.items()})
        made = np.array([s[name] for s in simulated if s[name] is not None], float)
        if simulated:
            low, middle, high = np.percentile(made, (5, 50, 95)) if made.size else (None, None, None)
            row.update({"sim 5%": _short(low), "sim 50%": _short(middle), "sim 95%": _short(high)})
            row["inside"] = f"{sum(low <= v <= high for v in known)} of {len(known)}" if made.size else "-"
        rows.append(row)
    return rows


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 2 if abs(value) < 10 else 1)


class _Scene:
    """Which pixels of a slice are which tissue, by smoothed HU and place."""

    def __init__(self, plane: F32, lung: Mask, mm: float) -> None:
        smooth = cv2.GaussianBlur(np.clip(plane, -1024, 1500), (0, 0), 1.6 / mm)
        clear = _grown(_grown(lung, 4.0, mm) | (smooth < -300), 1.5, mm)
        rows, columns = np.nonzero(lung)
        hull = np.zeros(plane.shape, np.uint8)
        if rows.size > 50:
            points = np.stack([columns, rows], axis=1).astype(np.int32)
            hull = np.asarray(cv2.fillConvexPoly(hull, cv2.convexHull(points), (1,)), np.uint8)
        front = np.zeros(plane.shape, bool)
        end = rows.min() + 0.68 * (rows.max() - rows.min()) if rows.size else plane.shape[0]
        front[: int(end)] = True
        inside = _shrunk(hull > 0, 8.0, mm) if rows.size else np.ones(plane.shape, bool)
        outside = ~_grown(hull > 0, 6.0, mm)
        full = np.asarray(cv2.morphologyEx(lung.astype(np.uint8), cv2.MORPH_CLOSE, _disc(6.0, mm)) > 0)
        inner = _shrunk(full, 5.0, mm)
        fine = cv2.GaussianBlur(plane, (0, 0), 0.6 / mm)
        fat = (smooth > -140) & (smooth < -65) & ~clear
        soft = (smooth > 5) & (smooth < 115) & ~clear
        self.masks: dict[str, Mask] = {
            "blood": (smooth > 130) & (smooth < 900) & inside & front & ~clear,
            "muscle": (smooth > 10) & (smooth < 110) & outside & ~clear,
            "organ": (smooth > 10) & (smooth < 160) & inside & ~clear,
            "air": smooth < -960,
            "lung": inner,
            "lung vessel": inner & (fine > -500),
            "fat": _shrunk(fat, 1.5, mm),
            "soft": _shrunk(soft, 1.5, mm),
            "inner lung": inner & (smooth < -680),
            "inner fat": _shrunk(fat, 4.0, mm),
            "inner soft": _shrunk(soft, 4.0, mm),
        }
        self.masks["air"] &= ~_grown(full, 12.0, mm)


class _Patches:
    """Squares that lie wholly in one tissue; a fitted curved surface is taken away from each."""

    def __init__(self, dy: float, dx: float) -> None:
        self.mm = dx
        self.n = n = max(8, round(PATCH_MM / dx))
        y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j]
        design = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1).reshape(-1, 6)
        self.fit = np.asarray(np.linalg.qr(design)[0], np.float32)
        self.rests: list[F32] = []
        self.nexts: list[F32] = []
        self.means: list[float] = []

    def add(self, plane: F32, after: F32, mask: Mask) -> None:
        n = self.n
        count = cv2.boxFilter(mask.astype(np.float32), -1, (n, n), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        step = max(2, n // 2)
        for y, x in np.argwhere(count[:-n:step, :-n:step] > 0.999) * step:
            if len(self.rests) >= MOST_PATCHES:
                return
            patch = plane[y : y + n, x : x + n]
            if np.mean(patch <= -1000 - 23) > 0.01:
                continue
            self.means.append(float(patch.mean()))
            self.rests.append(self._rest(patch))
            self.nexts.append(self._rest(after[y : y + n, x : x + n]))

    def _rest(self, patch: F32) -> F32:
        flat = patch.reshape(-1)
        return np.asarray((flat - self.fit @ (self.fit.T @ flat)).reshape(patch.shape))

    def figures(self) -> dict[str, float | None]:
        names = ["noise HU", "px corr", *(f"corr {lag:g}mm" for lag in LAGS_MM), "slice corr", "mean freq /mm",
                 "power <0.15/mm %", "power >0.45/mm %", "SD p90/p10", "means IQR HU"]  # fmt: skip
        if len(self.rests) < LEAST_PATCHES:
            return dict.fromkeys(names)
        rest, after = np.stack(self.rests), np.stack(self.nexts)
        spread = rest.std(axis=(1, 2))
        keep = spread <= np.percentile(spread, 75)  # what holds an edge or a vessel is no noise
        noise = float(np.median(spread))
        spots, after = rest[keep], after[keep]
        spots = spots / spots.std(axis=(1, 2), keepdims=True)
        after = after / np.maximum(after.std(axis=(1, 2), keepdims=True), 1e-3)
        correlation = [self._lag(spots, lag / self.mm) for lag in LAGS_MM]
        power, frequency = self._power(spots)
        total = power.sum()
        q75, q25 = np.percentile(self.means, (75, 25))
        wide, tight = np.percentile(spread, (90, 10))
        return dict(zip(names, (
            noise, self._lag(spots, 1.0), *correlation, float(np.median((spots * after).mean(axis=(1, 2)))),
            float((power * frequency).sum() / total), float(100 * power[frequency < 0.15].sum() / total),
            float(100 * power[frequency > 0.45].sum() / total), float(wide / max(tight, 1e-3)), float(q75 - q25),
        ), strict=True))  # fmt: skip

    def _lag(self, spots: F32, pixels: float) -> float:
        """Correlation at a distance along x and y, linear between whole pixels."""
        low = int(pixels)
        part = pixels - low

        def at(k: int) -> float:
            if k == 0:
                return float((spots * spots).mean())
            return 0.5 * float((spots[:, :, k:] * spots[:, :, :-k]).mean() + (spots[:, k:] * spots[:, :-k]).mean())

        whole = at(0)
        return ((1 - part) * at(low) + (part * at(low + 1) if part > 0 else 0.0)) / whole

    def _power(self, spots: F32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = self.n
        window = np.hanning(n)[:, None] * np.hanning(n)[None, :]
        spectrum = (np.abs(np.fft.fft2(spots * window)) ** 2).mean(axis=0)
        f = np.fft.fftfreq(n, self.mm)
        return spectrum, np.hypot(f[:, None], f[None, :])


class _Edge:
    """Mean profiles across the outer border of the lung, aligned where they cross half height."""

    STEP = 0.1

    def __init__(self, mm: float) -> None:
        self.mm = mm
        self.at = np.arange(-8.0, 7.0, self.STEP)
        self.profiles: list[NDArray[np.float64]] = []

    def add(self, plane: F32, lung: Mask) -> None:
        for y in np.flatnonzero(lung.sum(axis=1) * self.mm > 40)[::4]:
            columns = np.flatnonzero(lung[y])
            for edge, outward in ((columns[0], -1), (columns[-1], 1)):
                far = edge + outward * round(12 / self.mm)
                near = edge - outward * round(14 / self.mm)
                if min(far, near) < 0 or max(far, near) >= plane.shape[1]:
                    continue
                line = plane[y, near : far + outward : outward] if far + outward >= 0 else plane[y, near::outward]
                self._one(line.astype(float))

    def _one(self, line: NDArray[np.float64]) -> None:
        above = np.flatnonzero((line[:-1] < -480) & (line[1:] >= -480))
        if len(above) != 1:
            return
        i = int(above[0])
        place = i + (-480 - line[i]) / (line[i + 1] - line[i])
        x = (np.arange(len(line)) - place) * self.mm
        if x[0] > self.at[0] or x[-1] < self.at[-1]:
            return
        profile = np.interp(self.at, x, line)
        inside, outside = profile[self.at < -4].mean(), profile[(self.at > 2.5) & (self.at < 5.5)].mean()
        if inside < -700 and -140 < outside < 110:
            self.profiles.append(profile)

    def figures(self) -> dict[str, float | None]:
        names = ("edge 10-90% mm", "edge overshoot %", "edge undershoot %")
        if len(self.profiles) < 60:
            return dict.fromkeys(names)
        # Straight walls only: the steepest third are those that the line crosses at a right angle.
        steep = [np.ptp(p[(self.at > -1.2) & (self.at < 1.2)]) for p in self.profiles]
        limit = np.percentile(steep, 66)
        mean = np.median([p for p, s in zip(self.profiles, steep, strict=True) if s >= limit], axis=0)
        inside, outside = mean[self.at < -4].mean(), mean[(self.at > 3) & (self.at < 6)].mean()
        unit = (mean - inside) / (outside - inside)
        middle = int(np.argmin(np.abs(self.at)))
        tenth = middle - int(np.argmax(unit[middle::-1] < 0.1))
        ninth = middle + int(np.argmax(unit[middle:] > 0.9))
        near = unit[(self.at > 0) & (self.at < 3)].max()
        dip = unit[(self.at < 0) & (self.at > -3)].min()
        return dict(zip(names, ((ninth - tenth) * self.STEP, 100 * (near - 1), -100 * dip), strict=True))


def _gravity(plane: F32, mask: Mask, mm: float) -> float | None:
    """Slope of lung HU towards the back, HU per 10 cm, from the front and the back half of this slice's lung."""
    rows, columns = np.nonzero(mask)
    if rows.size < 4000:
        return None
    middle = float(np.median(rows))
    front, back = rows < middle, rows >= middle
    values = plane[rows, columns]
    apart = (rows[back].mean() - rows[front].mean()) * mm / 100
    return float((np.median(values[back]) - np.median(values[front])) / max(apart, 1e-3))


def _band(plane: F32, sigma_mm: tuple[float, float], mm: float) -> F32:
    fine, coarse = (cv2.GaussianBlur(plane, (0, 0), s / mm) for s in sigma_mm)
    return np.asarray(fine - coarse)


def _disc(radius: float, mm: float) -> NDArray[np.uint8]:
    return disc(max(1, round(radius / mm)))


def _grown(mask: Mask, radius: float, mm: float) -> Mask:
    return grown(mask, _disc(radius, mm))


def _shrunk(mask: Mask, radius: float, mm: float) -> Mask:
    return np.asarray(cv2.erode(mask.astype(np.uint8), _disc(radius, mm)) > 0)
