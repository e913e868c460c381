"""Which YOLO detectors can be built: those that the installed Ultralytics describes. Told without importing it."""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from cascade.core.errors import UsageError

# Heads of this kind answer with rows of a box and a score for each class; those of other names do not.
_HEAD = re.compile(r"\bDetect, \[nc\]\]")
_SCALE = re.compile(r"^  ([a-z]): \[", re.MULTILINE)
_FAMILY = re.compile(r"(yolov?\d+)(.*)")


@dataclass(frozen=True)
class Architecture:
    """One detector of Ultralytics.

    Attributes:
        file: Its description, a file of the Ultralytics package.
        scale: Which of the sizes in it: n, s, m, l, x; empty where it has one.
    """

    file: Path
    scale: str


@functools.cache
def architectures() -> dict[str, Architecture]:
    """The detectors by the names that Ultralytics gives them, such as "yolo11n.yaml" and "yolov8s-p2.yaml".

    Raises:
        UsageError: Ultralytics is not installed.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        raise UsageError("detectors need Ultralytics; pip install 'ultralytics>=8.4'", "E_NO_ULTRALYTICS")
    found: dict[str, Architecture] = {}
    for file in sorted((Path(spec.origin).parent / "cfg" / "models").glob("*/yolo*.yaml")):
        text = file.read_text(encoding="utf-8")
        named = _FAMILY.fullmatch(file.stem)
        if named is not None and _HEAD.search(text):
            for scale in _SCALE.findall(text) or [""]:
                found[f"{named[1]}{scale}{named[2]}.yaml"] = Architecture(file, scale)
    return found
