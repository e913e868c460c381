from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cascade.core.errors import UsageError
from cascade.writing import FORMATS, save, save_run
from cascade.writing.formats import USUAL
from tests.writing.answers import answer, study

HEAVY = {"numpy", "cv2", "jinja2", "nibabel", "pydicom", "scipy"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_writes_the_files_that_it_names(name: str, tmp_path: Path) -> None:
    always = {"run.json", "DONE", "findings.json"}
    names = save_run(study(), answer(), {}, tmp_path, (name,))
    assert {*names, "DONE"} == {path.name for path in tmp_path.iterdir()}
    own = set(names) - always or {"findings.json"}
    assert all(file in FORMATS[name].files for file in own)


def test_what_people_and_programs_look_at_first_is_usual() -> None:
    assert USUAL == ("nifti", "csv", "json", "html")


def test_a_format_that_shows_the_study_is_refused_without_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="E_NO_STUDY: the format 'html' shows the study"):
        save(answer(), tmp_path, ("json", "html"))
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_format_is_answered_with_the_nearest_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"E_UNKNOWN_FORMAT_NAME: .*did you mean 'nifti'"):
        save(answer(), tmp_path, ("json", "nifty"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("formats", ["json", None])
def test_one_format_without_a_list_was_read_letter_by_letter(formats: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="E_USAGE: output formats are a list of names"):
        save(answer(), tmp_path, formats)


def test_what_is_no_findings_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="E_USAGE: findings are saved, got int"):
        save(3, tmp_path)  # type: ignore[arg-type]  # as a stranger calls it


def test_the_list_is_read_without_what_writes_the_formats() -> None:
    code = "import cascade.writing.formats, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
