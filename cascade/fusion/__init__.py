"""The last stage: from voxels and slice scores to lesions, a probability, and a decision with its reason."""

from __future__ import annotations

from cascade.fusion.fit import fit, fit_measured
from cascade.fusion.gates import Gates
from cascade.fusion.measured import measure
from cascade.fusion.parameters import Calibration, FusionParameters, LesionModel, OperatingPoint
from cascade.fusion.stage import Fusion

__all__ = [
    "Calibration",
    "Fusion",
    "FusionParameters",
    "Gates",
    "LesionModel",
    "OperatingPoint",
    "fit",
    "fit_measured",
    "measure",
]
