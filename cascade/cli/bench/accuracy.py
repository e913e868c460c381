"""`cascade-bench accuracy`: how right a bundle is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cascade.cli.options import Bundle, Device, OptionalOut, Runtime, existing, named
from cascade.cli.program import OK, Command, say_aside
from cascade.cli.terminal import progress_bar
from cascade.core.errors import UsageError
from cascade.core.folder import writable

if TYPE_CHECKING:
    from cascade.bench.accuracy import Opened
    from cascade.bench.frozen import FrozenSet

MOST_SEEDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Accuracy(Command):
    """Score a cascade against studies with a known truth: Dice, clots found, false positives, exam AUC.

    For example:
        cascade-bench accuracy SIMULATED -o OUT
        cascade-bench accuracy --seeds 0-19 --members
        cascade-bench accuracy --frozen tests/frozen/validation-v3.yaml --anatomy MAPS
        cascade-bench accuracy CTPA              (folders with ct/*.dcm and embolus.nii.gz)

    Attributes:
        studies: Folders of simulated or labelled studies, or with --assume-negative of plain scans.
        assume_negative: Plain scans, of which nobody says anything, show no embolism; it is unknown otherwise.
        seeds: Simulate these seeds as well, such as 0-19 or 3,5,8.
        frozen: YAML file of a frozen set of simulated studies.
        anatomy: Label maps to simulate on: a folder with a split.csv, or files; procedural by default.
        split: Which anatomies of split.csv, for --seeds.
        members: Also each network of the embolus ensemble alone.
        bundle: Folder of weights; the shipped ones by default.
        device: Where the networks run.
        runtime: What runs the networks.
        out: Folder for accuracy.csv and accuracy.json.
    """

    studies: Positional[Annotated[tuple[Path, ...], arg(metavar="[FOLDER ...]")]] = ()
    assume_negative: bool = False
    seeds: str = ""
    frozen: Annotated[Path | None, arg(metavar="FILE")] = None
    anatomy: Annotated[Path | None, arg(metavar="FOLDER")] = None
    split: str = "validation"
    members: bool = False
    bundle: Bundle = None
    device: Device = "auto"
    runtime: Runtime = "auto"
    out: OptionalOut = None

    def run(self) -> int:
        """Answer, compare, print the tables."""
        seeds = numbers(self.seeds)
        if not self.studies and not seeds and self.frozen is None:
            raise UsageError("nothing to measure; give folders of studies, --seeds 0-19, or --frozen FILE")
        if self.frozen is not None and self.anatomy is None:
            raise UsageError("a frozen set needs the label maps it was made on; give --anatomy FOLDER")
        if self.anatomy is not None and self.frozen is None and not seeds:
            raise UsageError("--anatomy says what is simulated on; give --seeds 0-19 or --frozen FILE as well")
        if self.out is not None:
            writable(self.out)
        for folder in self.studies:
            existing(folder)
        from cascade.bench.frozen import FrozenSet
        from cascade.simulation.label_maps import find_maps, open_all

        maps = find_maps(self.anatomy, self.split if self.anatomy else "") if seeds else []
        chosen = None if self.frozen is None else FrozenSet.load(existing(self.frozen))
        frozen_maps = [] if chosen is None or self.anatomy is None else chosen.maps(existing(self.anatomy))
        from cascade.bench import table
        from cascade.bench.accuracy import Row, froc, measure, summaries
        from cascade.pipeline import Cascade

        cascade = Cascade.load(self.bundle, device=self.device, runtime=named(self.runtime))
        rows: list[Row] = []
        with progress_bar(self) as progress:
            open_all(maps, seeds, progress)
            open_all(frozen_maps, () if chosen is None else chosen.seeds, progress)
            for done, some in enumerate(measure(cascade, self._cases(seeds, maps, chosen), self.members), start=1):
                rows += some
                if progress is not None:
                    progress("studies", done, done)
        figures, by_size = summaries(rows), froc(rows)
        if self.out is not None:
            more = {"figures": {variant: summary.as_dict() for variant, summary in figures.items()}, "froc": by_size}
            table.write(self.out, "accuracy", [row.as_dict() for row in rows], more)
        table.show("Studies", [brief(row) for row in rows])
        table.show("Figures, with 95 % intervals", [{"variant": v, **plain(s)} for v, s in figures.items()])
        if by_size:
            table.show("Share of clots found, by false lesions a study", by_size)
        return OK

    def _cases(self, seeds: Sequence[int], maps: list[Path], chosen: FrozenSet | None) -> Iterator[Opened]:
        from cascade.bench.accuracy import frozen, simulated, stored

        yield from stored(
            self.studies,
            lambda name: say_aside(f"{name} is left out: its truth says nothing of embolism"),
            self.assume_negative,
        )
        if chosen is not None and self.anatomy is not None:
            yield from frozen(chosen, self.anatomy)
        yield from simulated(seeds, maps)


def numbers(text: str) -> list[int]:
    """Whole numbers from a list such as `0-4,7`.

    Raises:
        UsageError: It is no such list.
    """
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise UsageError(f"--seeds {text!r} is no list of numbers; write 0-19 or 3,5,8")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + MOST_SEEDS:
            raise UsageError(f"--seeds {part!r} must count up, over at most {MOST_SEEDS}")
        found += range(first, last + 1)
    if len(set(found)) < len(found):
        raise UsageError(f"--seeds {text!r} names a seed twice; it would count twice, so leave one out")
    return found


def brief(row: Any) -> dict[str, Any]:
    """The columns of a study's row that a person looks at."""
    s = row.score
    return {
        "study": row.study,
        "variant": row.variant,
        "dice": s.dice,
        "clots found": f"{s.found} of {s.clots}",
        "false_positives": s.false_positives,
        "truth mm3": round(s.truth_mm3),
        "answer mm3": round(s.answer_mm3),
        "probability": s.probability,
        "decision": s.decision or "-",
    }


def plain(summary: Any) -> dict[str, Any]:
    """The columns of a summary as text with intervals."""
    return {
        "studies": f"{summary.positives} + {summary.studies - summary.positives}",
        "Dice": str(summary.dice),
        "clots found": f"{summary.found} of {summary.clots}",
        "false positives a negative": summary.false_positives_per_negative,
        "false positives a positive": summary.false_positives_per_positive,
        "AUC": str(summary.auc),
        "sensitivity": str(summary.sensitivity),
        "specificity": str(summary.specificity),
        "Brier": summary.brier,
        "abstained": summary.abstentions,
    }
