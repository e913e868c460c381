"""The catalogue of codes: whole, and the page that users read is written from it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cascade.core.codes import CHAPTERS, CODES, page

ROOT = Path(__file__).resolve().parents[2]


def codes_in_code() -> set[str]:
    found: set[str] = set()
    for package in ("cascade", "detectors", "segmenters", "classifiers"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "codes.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= set(re.findall(r"^[EW]_[A-Z][A-Z0-9_]*$", node.value))
    return found


def test_every_code_of_the_package_is_in_the_catalogue_and_no_other() -> None:
    assert codes_in_code() == set(CODES)


def test_a_code_stands_in_one_chapter_with_a_meaning_and_a_remedy() -> None:
    assert sum(map(len, CHAPTERS.values())) == len(CODES)
    for code in CODES.values():
        assert code.meaning.endswith(".")
        assert code.remedy.endswith(".")


def test_the_page_is_written_from_the_catalogue() -> None:
    assert (ROOT / "docs" / "codes.md").read_text(encoding="utf-8") == page(), "run `make codes`"
