"""Frozen sets: simulated studies named by config and seeds in a YAML file, with a hash of what they must be.

A better simulator makes a new version of a set beside the old one; an old one is never eased.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cascade.core.config import from_json
from cascade.core.errors import InputError
from cascade.datasets.case import Case
from cascade.simulation import Simulated, Simulation, SimulationError, load, simulate
from cascade.simulation.label_maps import ENDING, read_split

MOST_SEEDS = 10_000
"""With emboli, and as many without."""


@dataclass(frozen=True)
class _Seeds:
    """The first of each kind, and the one after the last; a set may do without studies that have no emboli."""

    positive: tuple[int, int]
    negative: tuple[int, int] | None = None


@dataclass(frozen=True)
class _File:
    """What a set's file holds."""

    name: str
    split: str
    seeds: _Seeds
    config: Mapping[str, Any] | None = None
    truth_sha256: Mapping[str, str] | None = None


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
    def load(cls, path: Path) -> FrozenSet:
        """Read a set's YAML file.

        Raises:
            InputError: It is no such file.
        """
        import yaml

        try:
            text = path.read_text(encoding="utf-8")
            _refuse_repeats(yaml.compose(text, Loader=yaml.SafeLoader))
            return cls._of(from_json(_File, yaml.safe_load(text)))
        except SimulationError as error:
            problem = error.text
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            problem = str(error)
        raise InputError("E_NO_DATASET", f"{path.name} does not describe a frozen set: {problem}; mend it")

    @classmethod
    def _of(cls, content: _File) -> FrozenSet:
        """The set that a file describes.

        Raises:
            SimulationError: A setting is outside its limits.
            ValueError: Seeds or hashes are none, or do not belong together.
        """
        positive = _seeds("positive", content.seeds.positive)
        negative = _seeds("negative", content.seeds.negative) if content.seeds.negative else ()
        if len(positive) != len(negative) and negative:
            raise ValueError(f"{len(positive)} studies with and {len(negative)} without emboli")
        if both := set(positive) & set(negative):
            raise ValueError(f"seed {min(both)} stands among those with and those without emboli")
        config = dict(content.config or {})
        from_json(Simulation, config, "config")
        hashes = {int(seed): sha for seed, sha in (content.truth_sha256 or {}).items()}
        for seed, sha in hashes.items():
            if not re.fullmatch("[0-9a-f]{64}", sha):
                raise ValueError(f"truth_sha256.{seed} must be 64 digits of 0-9 and a-f, got {sha!r}")
        if strange := set(hashes) - {*positive, *negative}:
            raise ValueError(f"truth_sha256 names {min(strange)}, which is none of the seeds")
        return cls(content.name, content.split, positive, negative, config, hashes)

    @property
    def seeds(self) -> tuple[int, ...]:
        """All of them, positive and negative in turn; the positive ones alone where there are no others."""
        if not self.negative:
            return self.positive
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
        maps = self.maps(anatomies)
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

    def maps(self, anatomies: Path) -> list[Path]:
        """The label maps that take turns.

        Raises:
            InputError: E_NO_ANATOMY, the folder lacks one, or their list.
        """
        try:
            names = sorted(name for name, split in read_split(anatomies).items() if split == self.split)
        except (OSError, ValueError) as error:
            text = f"{self.name} needs the label maps it was made on, with a split.csv of the columns id and split"
            raise InputError("E_NO_ANATOMY", f"{text}; name their folder with --anatomy") from error
        if not names:
            text = f"split.csv in {anatomies} lists no label map of split {self.split!r}"
            raise InputError("E_NO_ANATOMY", f"{text}, which {self.name} was made on; name another --anatomy")
        maps = [anatomies / f"{name}{ENDING}" for name in names]
        if missing := [path.name for path in maps if not path.is_file()]:
            text = f"{anatomies} lacks {missing[0]}, which {self.name} was made on"
            raise InputError("E_NO_ANATOMY", f"{text}; name the folder that holds it with --anatomy")
        return maps


def _seeds(which: str, ends: tuple[int, int]) -> tuple[int, ...]:
    first, past = ends
    if not 0 <= first < past <= first + MOST_SEEDS:
        text = f"seeds.{which} is {list(ends)}; the first and the one after the last are meant"
        raise ValueError(f"{text}, at most {MOST_SEEDS} in all")
    return tuple(range(first, past))


def _refuse_repeats(node: Any) -> None:
    """Refuse a YAML mapping that says something twice, of which the first would be passed over.

    Raises:
        ValueError: It does.
    """
    if node is None or isinstance(node.value, str):
        return
    pairs = [one for one in node.value if isinstance(one, tuple)]
    for key, times in Counter(str(key.value) for key, _ in pairs).items():
        if times > 1:
            raise ValueError(f"{key} stands there {times} times")
    for one in node.value:
        _refuse_repeats(one[1] if isinstance(one, tuple) else one)


def truth_sha256(made: Simulated) -> str:
    """SHA-256 of a study's geometry and embolus labels."""
    digest = hashlib.sha256(repr(made.study.grid.shape).encode())
    digest.update(np.round(made.study.grid.affine, 3).astype("<f8").tobytes())
    digest.update(np.ascontiguousarray(made.truth.lesion_mask(), dtype=np.uint8).tobytes())
    return digest.hexdigest()
