"""Frozen sets: simulated studies named by config and seeds in a YAML file, with a hash of what they must be.

A better simulator makes a new version of a set beside the old one; an old one is never eased.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cascade.config import from_json
from cascade.errors import InputError
from cascade.phantom import Simulated, Simulation, load, simulate
from cascade.training.case import Case


@dataclass(frozen=True)
class FrozenSet:
    """A set of simulated studies.

    Attributes:
        name: Such as "validation-v1".
        split: Which anatomies of `split.csv` take turns by seed.
        positive: Seeds of the studies with emboli.
        negative: Seeds of the studies without.
        config: Fields of `Simulation` that differ from the defaults.
        truth_sha256: Of each study's embolus labels, by seed; the same on every machine.
    """

    name: str
    split: str
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    config: dict[str, Any]
    truth_sha256: dict[int, str]

    @classmethod
    def read(cls, path: Path) -> FrozenSet:
        """Read a set's YAML file.

        Raises:
            InputError: It is no such file.
        """
        import yaml

        try:
            told = yaml.safe_load(path.read_text(encoding="utf-8"))
            made = cls(
                name=told["name"],
                split=told["split"],
                positive=tuple(range(*told["seeds"]["positive"])),
                negative=tuple(range(*told["seeds"]["negative"])),
                config=dict(told.get("config") or {}),
                truth_sha256={int(seed): sha for seed, sha in (told.get("truth_sha256") or {}).items()},
            )
            from_json(Simulation, made.config, "config")
            if len(made.positive) != len(made.negative):
                raise ValueError(f"{len(made.positive)} studies with and {len(made.negative)} without emboli")
            return made
        except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise InputError("E_NO_DATASET", f"{path.name} does not describe a frozen set: {error}") from error

    @property
    def seeds(self) -> tuple[int, ...]:
        """All of them, positive and negative in turn."""
        pairs = zip(self.positive, self.negative, strict=True)
        return tuple(seed for pair in pairs for seed in pair)

    def make(self, seed: int, anatomies: Path) -> Simulated:
        """Simulate one study of the set.

        Args:
            seed: One of `seeds`.
            anatomies: Folder of label maps with `split.csv`.

        Raises:
            InputError: The study is not the one that the set was frozen with.
        """
        maps = self._maps(anatomies)
        config = replace(from_json(Simulation, self.config, "config"), positive=1.0 if seed in self.positive else 0.0)
        made = simulate(config, seed, load(maps[seed % len(maps)]))
        known = self.truth_sha256.get(seed)
        if known is not None and truth_sha256(made) != known:
            raise InputError(
                "E_FROZEN_SET", f"study {seed} of {self.name} is not as it was frozen; use the version that froze it"
            )
        return made

    def cases(self, anatomies: Path) -> Iterator[Case]:
        """The set's studies as cases, one at a time."""
        for seed in self.seeds:
            made = self.make(seed, anatomies)
            yield Case(f"{self.name}-{seed}", str(made.facts["anatomy"]), "simulated", made.study, made.truth)

    def _maps(self, anatomies: Path) -> list[Path]:
        try:
            with (anatomies / "split.csv").open(newline="", encoding="utf-8") as file:
                names = sorted(row["id"] for row in csv.DictReader(file) if row["split"] == self.split)
        except (OSError, KeyError, ValueError) as error:
            text = f"{self.name} needs the label maps it was made on, with a split.csv of the columns id and split"
            raise InputError("E_NO_ANATOMY", f"{text}; name their folder with --anatomy") from error
        if not names:
            text = f"split.csv in {anatomies} lists no label map of split {self.split!r}"
            raise InputError("E_NO_ANATOMY", f"{text}, which {self.name} was made on; name another --anatomy")
        return [anatomies / f"{name}.nii.gz" for name in names]


def truth_sha256(made: Simulated) -> str:
    """SHA-256 of a study's geometry and embolus labels."""
    digest = hashlib.sha256(repr(made.study.grid.shape).encode())
    digest.update(np.round(made.study.grid.affine, 3).astype("<f8").tobytes())
    digest.update(np.ascontiguousarray(made.truth.lesion_mask(), dtype=np.uint8).tobytes())
    return digest.hexdigest()
