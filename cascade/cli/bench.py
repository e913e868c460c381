"""`cascade-bench`: how right and how fast a bundle is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from cascade.cli.bench_emboli import Emboli
from cascade.cli.folder import writable
from cascade.cli.options import Bundle, Device, Runtime, existing, named, not_negative, stem, told_apart
from cascade.cli.program import OK, Command, Program, say_aside, tell
from cascade.cli.simulate import anatomies, open_first, refuse_idle_split
from cascade.cli.terminal import progress_bar
from cascade.errors import UsageError

if TYPE_CHECKING:
    from cascade.bench.accuracy import Opened
    from cascade.bench.frozen import FrozenSet

MOST_SEEDS = 10_000
SLICES = (20, 2000)
"""Fewest and most slices of a study that is timed."""
WIDTHS = (32, 2048)
"""Of a picture, pixels."""
OptionalOut = Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")]


@dataclass(frozen=True, kw_only=True)
class Accuracy(Command):
    """Score a cascade against studies with a known truth: Dice, clots found, alarms, exam AUC.

    For example:
        cascade-bench accuracy SIMULATED -o OUT
        cascade-bench accuracy --seeds 0-19 --members
        cascade-bench accuracy --frozen tests/frozen/validation-v3.yaml --anatomy MAPS
        cascade-bench accuracy CTPA              (folders with ct/*.dcm and embolus.nii.gz)

    Attributes:
        studies: Folders of simulated or labelled studies, or of plain scans, which are taken to show no embolism.
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
        maps = anatomies(self.anatomy, self.split) if seeds else []
        from cascade.bench.frozen import FrozenSet

        chosen = None if self.frozen is None else FrozenSet.read(existing(self.frozen))
        frozen_maps = [] if chosen is None or self.anatomy is None else chosen.maps(existing(self.anatomy))
        from cascade import Cascade
        from cascade.bench import table
        from cascade.bench.accuracy import Row, measure, summaries

        cascade = Cascade.load(self.bundle, device=self.device, runtime=named(self.runtime))
        rows: list[Row] = []
        with progress_bar(self) as progress:
            open_first(maps, seeds, progress)
            open_first(frozen_maps, () if chosen is None else chosen.seeds, progress)
            for done, some in enumerate(measure(cascade, self._cases(seeds, maps, chosen), self.members), start=1):
                rows += some
                if progress is not None:
                    progress("studies", done, done)
        figures = summaries(rows)
        if self.out is not None:
            more = {"figures": {variant: summary.as_dict() for variant, summary in figures.items()}}
            table.write(self.out, "accuracy", [row.as_dict() for row in rows], more)
        table.show("Studies", [brief(row) for row in rows])
        table.show("Figures, with 95 % intervals", [{"variant": v, **plain(s)} for v, s in figures.items()])
        return OK

    def _cases(self, seeds: Sequence[int], maps: list[Path], chosen: FrozenSet | None) -> Iterator[Opened]:
        from cascade.bench.accuracy import frozen, simulated, stored

        yield from stored(
            self.studies, lambda name: say_aside(f"{name} is left out: its truth says nothing of embolism")
        )
        if chosen is not None and self.anatomy is not None:
            yield from frozen(chosen, self.anatomy)
        yield from simulated(seeds, maps)


@dataclass(frozen=True, kw_only=True)
class Speed(Command):
    """Time a study from DICOM files to the decision, by stage, with the peak of memory.

    For example:
        cascade-bench speed
        cascade-bench speed --study STUDY --repeat 5 --runtime torch

    Attributes:
        study: DICOM folder; a simulated one by default.
        slices: Slices of the simulated study, 512 x 512 each.
        repeat: Runs, each in a process of its own, after a first one that may compile; medians are shown.
        bundle: Folder of weights; the shipped ones by default.
        device: Where the networks run.
        runtime: What runs the networks.
        out: Folder for speed.csv and speed.json.
    """

    study: Annotated[Path | None, arg(metavar="STUDY")] = None
    slices: int = 300
    repeat: int = 3
    bundle: Bundle = None
    device: Device = "auto"
    runtime: Runtime = "auto"
    out: OptionalOut = None

    def run(self) -> int:
        """Time it, print the table."""
        if self.repeat < 1 or not SLICES[0] <= self.slices <= SLICES[1]:
            text = f"--repeat is {self.repeat} and --slices {self.slices}"
            raise UsageError(f"{text}; they must be 1 or more and from {SLICES[0]} to {SLICES[1]}")
        if self.out is not None:
            writable(self.out)
        import tempfile

        from cascade.bench import table
        from cascade.bench.speed import middle, simulated_study, time_run

        options = ["--device", self.device, "--runtime", self.runtime]
        options += ["--bundle", str(self.bundle)] if self.bundle else []
        with tempfile.TemporaryDirectory(prefix="cascade-speed-") as folder, progress_bar(self) as progress:
            study = existing(self.study) if self.study else simulated_study(Path(folder), self.slices)
            # The first run compiles the networks where the cache does not hold them yet: it stands for itself.
            first = time_run(study, options)
            timings = []
            for done in range(1, self.repeat + 1):
                timings.append(time_run(study, options))
                if progress is not None:
                    progress("runs", done, self.repeat)
        timing = middle(timings)
        rows: list[dict[str, Any]] = [{"stage": name, "seconds": s} for name, s in timing.stages.items()]
        rows.append({"stage": "whole process", "seconds": timing.wall_s})
        rows.append({"stage": "first run, before the others", "seconds": first.wall_s})
        table.show(f"{study.name}, median of {self.repeat}", rows)
        tell(f"CPU time {timing.cpu_s:.1f} s, peak memory {timing.peak_mb:.0f} MB (first run {first.peak_mb:.0f} MB)")
        if self.out is not None:
            more = {"cpu_s": timing.cpu_s, "peak_mb": timing.peak_mb, "first_peak_mb": first.peak_mb}
            table.write(self.out, "speed", rows, {**more, "repeat": self.repeat})
        return OK


@dataclass(frozen=True, kw_only=True)
class Realism(Command):
    """Measure how like a scanner's simulated studies look: noise, spectrum, tissues, texture, edges.

    For example:
        cascade-bench realism --real STUDY STUDY --simulated 20 --anatomy MAPS -o OUT

    Attributes:
        real: Folders or files of real studies to measure in the same way.
        simulated: How many studies to simulate.
        seed: Of the first of them.
        anatomy: Label maps to simulate on; procedural by default.
        split: Which anatomies of split.csv.
        out: Folder for realism.csv and realism.json.
    """

    real: tuple[Path, ...] = ()
    simulated: int = 0
    seed: int = 0
    anatomy: Annotated[Path | None, arg(metavar="FOLDER")] = None
    split: str = ""
    out: OptionalOut = None

    def run(self) -> int:
        """Measure, print the table."""
        refuse_nothing(self.real, self.simulated, self.seed, self.anatomy, self.split)
        told_apart("real studies", map(study_name, self.real))
        if self.out is not None:
            writable(self.out)
        from cascade.bench import table
        from cascade.bench.accuracy import simulated
        from cascade.bench.realism import compare, figures
        from cascade.reading import read

        maps = anatomies(self.anatomy, self.split)
        real, made = {}, []
        with progress_bar(self) as progress:
            seeds = range(self.seed, self.seed + self.simulated)
            open_first(maps, seeds, progress)
            for path in self.real:
                real[study_name(path)] = figures(read(path))
            for done, (_, study, _) in enumerate(simulated(seeds, maps), start=1):
                made.append(figures(study))
                if progress is not None:
                    progress("studies", done, self.simulated)
        rows = compare(real, made)
        table.show("Real and simulated", rows)
        if self.out is not None:
            table.write(self.out, "realism", rows, {"real": real, "simulated": made})
        return OK


@dataclass(frozen=True, kw_only=True)
class Sheets(Command):
    """Put simulated studies beside real ones, at the same levels, windows and scale.

    For example:
        cascade-bench sheets --real STUDY STUDY --simulated 6 --anatomy MAPS -o OUT

    Attributes:
        real: Folders or files of real studies.
        simulated: How many studies to simulate.
        seed: Of the first of them.
        anatomy: Label maps to simulate on; procedural by default.
        split: Which anatomies of split.csv.
        levels: Heights to show, such as hilum,ventricles; all by default.
        size: Width of a picture, pixels.
        out: Folder for a PNG a window.
    """

    real: tuple[Path, ...] = ()
    simulated: int = 4
    seed: int = 0
    anatomy: Annotated[Path | None, arg(metavar="FOLDER")] = None
    split: str = ""
    levels: str = ""
    size: int = 256
    out: Annotated[Path, arg(aliases=["-o"], metavar="OUT")]

    def run(self) -> int:
        """Draw the sheets."""
        refuse_nothing(self.real, self.simulated, self.seed, self.anatomy, self.split)
        if not WIDTHS[0] <= self.size <= WIDTHS[1]:
            raise UsageError(f"--size is {self.size}; it must be from {WIDTHS[0]} to {WIDTHS[1]} pixels")
        writable(self.out)
        from cascade.bench import sheets
        from cascade.bench.accuracy import simulated
        from cascade.reading import read

        levels = [name.strip() for name in self.levels.split(",") if name.strip()] or list(sheets.LEVELS)
        if unknown := set(levels) - set(sheets.LEVELS):
            raise UsageError(f"--levels names {', '.join(sorted(unknown))}; choose from {', '.join(sheets.LEVELS)}")
        maps = anatomies(self.anatomy, self.split)
        rows: dict[str, list[tuple[str, Any]]] = {"pe": [], "lung": []}
        with progress_bar(self) as progress:
            seeds = range(self.seed, self.seed + self.simulated)
            open_first(maps, seeds, progress)
            real = ((study_name(path), read(path)) for path in self.real)
            made = ((name, study) for name, study, _ in simulated(seeds, maps))
            # One real, one simulated, as long as there are both: neighbours are easiest to compare.
            for done, (name, study) in enumerate(in_turn(real, made), start=1):
                for window, pictures in rows.items():
                    pictures.append((name, sheets.tiles(study, window, self.size, levels)))
                if progress is not None:
                    progress("studies", done, len(self.real) + self.simulated)
        for window, pictures in rows.items():
            if pictures:
                sheets.write(self.out / f"sheet-{window}.png", sheets.sheet(pictures, levels))
        return OK


def refuse_nothing(real: Sequence[Path], simulated: int, seed: int, anatomy: Path | None, split: str) -> None:
    """Refuse to begin where there is nothing to show, or not what is asked for.

    Raises:
        InputError: A real study is not there.
        UsageError: There is none, a number is negative, or an option would be passed over.
    """
    not_negative(simulated=simulated, seed=seed)
    if not (real or simulated):
        raise UsageError("nothing to show; give --real STUDY, --simulated 20, or both")
    if not simulated and anatomy is not None:
        raise UsageError("--anatomy says what is simulated on; give --simulated 20 as well")
    refuse_idle_split(anatomy, split)
    for path in real:
        existing(path)


def in_turn(*series: Iterator[Any]) -> Iterator[Any]:
    """One of each in turn, until all have ended."""
    waiting = list(series)
    while waiting:
        for one in list(waiting):
            try:
                yield next(one)
            except StopIteration:
                waiting.remove(one)


def study_name(path: Path) -> str:
    """A study's name from its path; a folder `ct` is named after the patient's folder above it."""
    return path.resolve().parent.name if path.name == "ct" else stem(path)


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
        "alarms": s.alarms,
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
        "alarms a negative": summary.alarms_per_negative,
        "alarms a positive": summary.alarms_per_positive,
        "AUC": str(summary.auc),
        "sensitivity": str(summary.sensitivity),
        "specificity": str(summary.specificity),
        "Brier": summary.brier,
        "abstained": summary.abstentions,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `cascade-bench`. Returns its exit code."""
    about = "Measures a bundle, how right and how fast it is, and the simulator, how real it looks."
    commands: dict[str, type[Command]] = {
        "accuracy": Accuracy,
        "speed": Speed,
        "realism": Realism,
        "emboli": Emboli,
        "sheets": Sheets,
    }
    return Program("cascade-bench", about, commands)(arguments)
