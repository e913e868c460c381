"""The lung detector: where to look, from YOLO on every k-th slice, checked by a threshold."""

from __future__ import annotations

from cascade.core.stage import Learned
from detectors.lung_detector import LungDetector, LungDetectorConfig

STAGES: dict[str, type[Learned]] = {"lung_detector": LungDetector}

NETWORKS = {"yolo": "detectors.yolo:Yolo"}

__all__ = ["NETWORKS", "STAGES", "LungDetector", "LungDetectorConfig"]
