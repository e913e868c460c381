"""The program `cascade-train`: its commands by name."""

from __future__ import annotations

from collections.abc import Sequence

from cascade.cli.program import Command, Program
from cascade.cli.train.average import Average
from cascade.cli.train.check import Check
from cascade.cli.train.classifier import Classifier
from cascade.cli.train.detector import Detector
from cascade.cli.train.fusion import Fusion
from cascade.cli.train.images import Images
from cascade.cli.train.pack import Pack
from cascade.cli.train.segmenter import Segmenter


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `cascade-train`. Returns its exit code."""
    commands: dict[str, type[Command]] = {
        "detector": Detector,
        "classifier": Classifier,
        "segmenter": Segmenter,
        "fusion": Fusion,
        "average": Average,
        "check": Check,
        "images": Images,
        "pack": Pack,
    }
    return Program("cascade-train", "Trains the networks of a cascade, and fits its fusion.", commands)(arguments)
