"""Augmentation: geometry by albumentations, intensity in HU before any window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cascade.core.bounds import NOT_NEGATIVE, RANGE, SHARE, refuse_outside
from cascade.core.windows import AIR_HU
from cascade.runtime import offline


@dataclass(frozen=True)
class AugmentConfig:
    """How far a sample may be changed. Nothing here swaps the patient's sides.

    Attributes:
        rotate_degrees: Largest rotation in the slice, either way.
        scale: Smallest and largest magnification.
        contrast: Factor range on HU above 60: other doses of contrast agent.
        shift_hu: Largest offset of all HU, either way.
        noise_hu: Largest standard deviation of added noise.
        blur: Largest sigma of a Gaussian blur, points; the smallest is 0.3, or this where this is less.
        sharpen: Largest weight of an unsharp mask: sharp kernels overshoot at edges.
        chance: Probability of each intensity change.
    """

    rotate_degrees: float = 20.0
    scale: tuple[float, float] = (0.85, 1.2)
    contrast: tuple[float, float] = (0.55, 1.5)
    shift_hu: float = 20.0
    noise_hu: float = 40.0
    blur: float = 1.0
    sharpen: float = 1.0
    chance: float = 0.35

    def __post_init__(self) -> None:
        """Refuse changes that no sample can be given."""
        bounds = {
            NOT_NEGATIVE: ("rotate_degrees", "shift_hu", "noise_hu", "blur", "sharpen"),
            RANGE: ("scale", "contrast"),
            SHARE: ("chance",),
        }
        refuse_outside(self, "augment", "E_AUGMENT", bounds)


def intensity(hu: NDArray[np.float32], rng: np.random.Generator, config: AugmentConfig) -> NDArray[np.float32]:
    """Change contrast, level, noise and kernel of `[slice, y, x]` in HU. A new array."""
    hu = np.array(hu, dtype=np.float32)
    if rng.random() < 2 * config.chance:
        factor = np.exp(rng.uniform(*np.log(config.contrast)))
        hu += np.maximum(hu - 60, 0) * np.float32(factor - 1)
    if rng.random() < config.chance:
        hu += rng.uniform(-config.shift_hu, config.shift_hu)
    if rng.random() < config.chance:
        sigma = rng.uniform(min(0.3, config.blur), config.blur)
        # OpenCV takes a sigma of 0 for one that it is to choose.
        hu = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in hu]) if sigma > 0 else hu
    elif rng.random() < config.chance:
        weight, sigma = rng.uniform(0, config.sharpen), rng.uniform(0.6, 1.2)
        hu = np.stack([plane + weight * (plane - cv2.GaussianBlur(plane, (0, 0), sigma)) for plane in hu])
    if rng.random() < config.chance:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        sigma = rng.uniform(0, 1.2)
        if sigma > 0.4:
            noise = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in noise])
        hu += noise * (rng.uniform(0, config.noise_hu) / max(float(noise.std()), 1e-6))
    return hu


class Geometry:
    """A random rotation and magnification, the same for a sample and its target."""

    def __init__(self, config: AugmentConfig) -> None:
        with offline():
            import albumentations as A  # noqa: N812  # its own name for it

        self._affine = A.Affine(
            rotate=(-config.rotate_degrees, config.rotate_degrees),
            scale=config.scale,
            keep_ratio=True,
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_LINEAR,
            fill=AIR_HU,
            fill_mask=0,
            p=0.8,
        )

    def __call__(
        self, hu: NDArray[np.float32], target: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`[slice, y, x]` in HU and `[output, y, x]`, both moved alike. Unknown outputs stay unknown."""
        unknown = np.array([bool(np.isnan(plane).any()) for plane in target])
        self._affine.set_random_seed(int(rng.integers(2**31)))
        moved: dict[str, Any] = self._affine(
            image=np.ascontiguousarray(hu.transpose(1, 2, 0)),
            mask=np.ascontiguousarray(np.where(unknown[:, None, None], 0, target).transpose(1, 2, 0)),
        )
        answer = np.ascontiguousarray(moved["mask"].transpose(2, 0, 1), dtype=np.float32)
        answer[unknown] = np.nan
        return np.ascontiguousarray(moved["image"].transpose(2, 0, 1), dtype=np.float32), answer
