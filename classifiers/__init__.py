"""Slice-level classifiers: the lung filter and the Siamese network, with their networks, one file each."""

from __future__ import annotations

from cascade.core.stage import Learned
from classifiers.lung_filter import LungFilter
from classifiers.siamese_stage import Siamese

STAGES: dict[str, type[Learned]] = {"lung_filter": LungFilter, "siamese": Siamese}

NETWORKS = {
    "efficientnet": "classifiers.efficientnet:EfficientNet",
    "timm": "classifiers.timm_network:TimmNetwork",
    "siamese": "classifiers.siamese:SiameseNet",
    "siamese_exact": "classifiers.siamese_exact:SiameseExact",
}

__all__ = ["NETWORKS", "STAGES", "LungFilter", "Siamese"]
