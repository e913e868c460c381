from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cascade.runtime.switches import cache_folder


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PE_CASCADE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert not cache_folder().exists()


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own place")
def test_else_it_is_the_users_on_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PE_CASCADE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pe-cascade"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pe-cascade"
