"""`cascade inspect`: what a study or a bundle is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from cascade.cli.options import STUDY, Series, existing
from cascade.cli.program import OK, Command, tell


@dataclass(frozen=True, kw_only=True)
class Inspect(Command):
    """Say what a study or a bundle is, on stdout.

    For example:
        cascade inspect STUDY
        cascade inspect weights --json

    Attributes:
        path: A study (DICOM folder, NIfTI, NRRD) or a bundle (a folder with manifest.json, or a run's).
        json: Print JSON.
        series: Number, UID or description of the series to read, where a folder holds several.
    """

    path: Positional[Annotated[Path, arg(metavar="STUDY|BUNDLE")]]
    json: bool = False
    series: Series = None

    def run(self) -> int:
        """Print what the study or the bundle holds."""
        existing(self.path, f"{STUDY}, or a bundle")
        places = (self.path, self.path / "bundle")
        bundle = next((place for place in places if (place / "manifest.json").is_file()), None)
        facts = _study(self.path, self.series) if bundle is None else _bundle(bundle)
        tell(json.dumps(facts, indent=2, default=str) if self.json else "\n".join(_lines(facts)))
        return OK


def _study(path: Path, series: str | None) -> dict[str, Any]:
    from cascade.reading import read

    study = read(path, series=series)
    low, high = int(study.hu.min()), int(study.hu.max())
    return {
        "study": study.id,
        "slices": study.grid.shape[0],
        "size": list(study.grid.shape[1:]),
        "spacing_mm": [round(s, 4) for s in study.grid.spacing],
        "z_mm": [round(float(z), 2) for z in study.grid.z_mm[[0, -1]]],
        "hu": [low, high],
        "facts": dict(study.facts),
        "warnings": [{"code": note.code, "text": note.text} for note in study.warnings],
    }


def _bundle(path: Path) -> dict[str, Any]:
    from cascade.bundle import load

    bundle = load(path)
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    return {"sha256": bundle.sha256, **manifest}


def _lines(facts: Any, indent: str = "") -> list[str]:
    """A mapping as indented lines `key: value`."""
    lines: list[str] = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
            lines.append(f"{indent}{key}:")
            for item in value:
                first, *rest = _lines(item, indent + "    ")
                lines += [f"{indent}  - {first.strip()}", *rest]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            lines.append(f"{indent}{key}: {shown}")
    return lines
