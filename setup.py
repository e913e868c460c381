"""Writes the commit into what is built; everything else about the package stands in pyproject.toml."""

from __future__ import annotations

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

VERSION = runpy.run_path("cascade/core/version.py")
COMMIT: str | None = VERSION["commit"]()


def write_commit(root: Path) -> None:
    """Write the commit, where it is known, into a tree of the package."""
    if COMMIT is not None:
        (root / "cascade" / "core" / VERSION["COMMIT_FILE"]).write_text(COMMIT + "\n", encoding="ascii")


class BuildPy(build_py):
    """The wheel's files."""

    def run(self) -> None:
        """Copy them, and add the commit; an editable install has the checkout's own."""
        super().run()
        if not self.editable_mode:
            write_commit(Path(self.build_lib))


class SourceDistribution(sdist):
    """The archive of sources, which has no `.git`."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy them, and add the commit."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir))


setup(cmdclass={"build_py": BuildPy, "sdist": SourceDistribution})
