"""The bundle: what a cascade is made from (`values`), and how it lies on disk (`disk`)."""

from cascade.bundle.disk import default_path, load, save
from cascade.bundle.values import (
    Bundle,
    Network,
    StageEntry,
    inputs_of,
    network_table,
    stage_classes,
    subset_name,
)

__all__ = [
    "Bundle",
    "Network",
    "StageEntry",
    "default_path",
    "inputs_of",
    "load",
    "network_table",
    "save",
    "stage_classes",
    "subset_name",
]
