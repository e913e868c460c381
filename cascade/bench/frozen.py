"""Frozen sets: simulated studies named by config and seeds in a YAML file, with a hash of what they must be.

A better simulator makes a new version of a set beside the old one; an old one is never eased.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cascade.config import from_json
from cascade.errors import InputError
from cascade.phantom import PhantomError, Simulated, Simulation, load, simulate
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
            made._hold()
            return made
        except KeyError as error:
            raise InputError("E_NO_DATASET", f"{path.name} does not describe a frozen set: it lacks {error}") from error
        except (TypeError, ValueError, AttributeError, OSError, yaml.YAMLError, PhantomError) as error:
            raise InputError("E_NO_DATASET", f"{path.name} does not describe a frozen set: {error}") from error

    def _hold(self) -> None:
        """Refuse what is no set.

        Raises:
            ValueError: Names are no names, seeds repeat or are none, or a hash is none, or of a study not in the set.
            PhantomError: Nothing can be simulated with the config.
        """
        if not (isinstance(self.name, str) and isinstance(self.split, str)):
            raise ValueError(f"name and split must be names, got {self.name!r} and {self.split!r}")
        if not self.positive or len(self.positive) != len(self.negative):
            raise ValueError(f"{len(self.positive)} studies with and {len(self.negative)} without emboli")
        if len({*self.seeds}) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError("its seeds repeat or are under 0")
        for seed, sha in self.truth_sha256.items():
            if seed not in self.seeds or not re.fullmatch("[0-9a-f]{64}", str(sha)):
                raise ValueError(f"truth_sha256 of {seed} is no SHA-256 of one of its studies")
        from_json(Simulation, self.config, "config")

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
