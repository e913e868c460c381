"""Against class imbalance: an embolus is a pixel in a thousand. Each remedy is a piece by itself, off by default.

Losses are the other half of it (`cascade.training.losses`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cascade.core.bounds import FINITE, SHARE, refuse_outside
from cascade.core.findings import Field
from cascade.datasets.case import Case
from cascade.training.augment import AugmentConfig
from cascade.training.crops import CropConfig, Crops
from cascade.training.imbalance.mosaic import Draws, Mosaic
from cascade.training.imbalance.ratio import weights
from cascade.training.imbalance.replicate import Replicate
from segmenters.embolus import EmbolusEnsemble


@dataclass(frozen=True)
class ImbalanceConfig:
    """Which remedies are taken.

    Attributes:
        lungs: Cut cases to the box of the lungs, without the margin around it.
        ratio_power: Draw cases by their share of embolus: over 0 those with much of it more often, under 0 those with
            little; 0 all alike.
        replicate: Probability of copying an embolus into an artery of the sample: one that the truth knows, else one
            that the bundle's own networks find.
        mosaic: Probability of joining four samples with little embolus into one.
        mosaic_under: The share of embolus up to which a sample has little of it.
    """

    lungs: bool = False
    ratio_power: float = 0.0
    replicate: float = 0.0
    mosaic: float = 0.0
    mosaic_under: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what is no probability, and no power."""
        bounds = {SHARE: ("replicate", "mosaic", "mosaic_under"), FINITE: ("ratio_power",)}
        refuse_outside(self, "imbalance", "E_IMBALANCE", bounds)


def sampler(
    cases: Sequence[Case],
    stage: EmbolusEnsemble,
    crops: CropConfig,
    augment: AugmentConfig,
    config: ImbalanceConfig,
    arteries: Mapping[Case, Field] | None = None,
) -> Draws:
    """Crops of the cases, with the remedies that are asked for.

    Args:
        cases: Where they are cut from.
        stage: Cuts them.
        crops: Which.
        augment: How they are changed.
        config: The remedies.
        arteries: Of cases whose truth does not know them, for `Replicate`.
    """
    drawn = Crops(
        cases,
        stage,
        crops,
        augment,
        weights(cases, config.ratio_power) if config.ratio_power else None,
        Replicate(cases, stage, config.replicate, arteries) if config.replicate else None,
    )
    return Mosaic(drawn, config.mosaic, config.mosaic_under) if config.mosaic else drawn
