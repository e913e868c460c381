"""`cascade simulate`: CT pulmonary angiograms with their truth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from cascade.cli.options import STUDY, Bundle, OptionalOut, existing, not_negative
from cascade.cli.program import OK
from cascade.cli.settings import Configured
from cascade.cli.terminal import progress_bar, say
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.folder import stem, usable_out

if TYPE_CHECKING:
    from cascade.core.findings import Field, Findings
    from cascade.core.study import Study
    from cascade.simulation import Simulation
    from cascade.simulation.config import SimulationSettings

    Row = Mapping[str, Any]


MOST_EMBOLI = 50


@dataclass(frozen=True, kw_only=True)
class Simulate(Configured):
    """Simulate CT pulmonary angiograms with emboli, and write them with their truth.

    For example:
        cascade simulate -o SET -n 20
        cascade simulate -o SET --anatomy MAPS --split train --emboli 1-5 --seed 100
        cascade simulate -o SET -n 200 --format packed --workers 4
        cascade simulate -o SET --paint-into STUDY
        cascade simulate -o SET --paint-into ct.nii.gz --arteries mask.nii.gz
        cascade simulate --print-config
        cascade simulate -o SET simulation.slice_mm=[1.0] simulation.slice_weights=[1]

    Attributes:
        out: Folder for the set: index.csv and a folder a study.
        number: How many studies.
        seed: Of the first study; the next ones count on.
        emboli: Emboli a study: 0, 3 or 1-5; by default a study has some with a chance of one half.
        anatomy: Label maps (1 artery, 2 vein, 3 lung) that take turns: a file, or a folder, with split.csv for --split;
            procedural anatomies by default.
        split: Which anatomies of split.csv.
        format: As a scanner sends them, one NIfTI a study, or packed: one case a study (10 to 20 MB), at 2 mm
            around the lungs, which the coarse segmentation stage learns from.
        paint_into: Paint emboli into the arteries of this real study instead; the networks find them. Beside emboli
            that a reader outlined (a folder with ct/ and embolus.nii.gz) none are painted, and the truth holds both.
        arteries: Mask of the arteries of the --paint-into study (NIfTI on its grid), where they are known already.
        bundle: Folder of weights, for --paint-into; the shipped ones by default.
        workers: Processes; a study takes about 1.2 GB in each.
    """

    out: OptionalOut = None
    number: Annotated[int, arg(aliases=["-n"], name="n")] = 1
    seed: int = 0
    emboli: Annotated[str, arg(metavar="COUNT")] = ""
    anatomy: Annotated[Path | None, arg(metavar="FILE|FOLDER")] = None
    split: str = ""
    format: Literal["dicom", "nifti", "packed"] = "dicom"
    paint_into: Annotated[Path | None, arg(metavar="STUDY")] = None
    arteries: Annotated[Path | None, arg(metavar="FILE")] = None
    bundle: Bundle = None
    workers: int = 1

    def run(self) -> int:
        """Simulate them one by one; the set appears when all are there."""
        if self.number < 1 or self.workers < 1:
            raise UsageError(f"-n and --workers must be 1 or more, got {self.number} and {self.workers}")
        not_negative(seed=self.seed)
        ranges = emboli_range(self.emboli)
        if self.print_config:
            return self.show(self.settings(begun_with(ranges)))
        self._refuse_what_says_nothing(ranges)
        if self.out is None:
            raise UsageError("no folder for the studies; give -o SET")
        from cascade.simulation.label_maps import find_maps, open_all
        from cascade.simulation.set import INDEX, is_set, write_index

        usable_out(self.out, is_set)
        maps = find_maps(self.anatomy, self.split)
        if self.paint_into is not None:
            refuse_unclear_study(existing(self.paint_into, STUDY))
        if self.arteries is not None:
            existing(self.arteries)

        begun = begun_with(ranges)
        config, before = self.settings(begun).simulation, begun.simulation
        changed = {one.name for one in fields(config) if getattr(config, one.name) != getattr(before, one.name)}
        self._refuse_settings_of_no_use(changed, config)
        seeds = range(self.seed, self.seed + self.number)
        with whole_folder(self.out, INDEX) as out, progress_bar(self) as progress:
            open_all(maps, seeds, progress)
            made = (
                self._simulated(out, config, seeds, maps)
                if self.paint_into is None
                else self._painted(out, config, seeds)
            )
            rows = []
            for one in made:
                rows.append(one)
                if progress is not None:
                    progress("studies", len(rows), self.number)
            write_index(out, rows)
        say(self, f"{self.number} studies in {self.out}, listed in {self.out / 'index.csv'}")
        return OK

    def _refuse_what_says_nothing(self, ranges: Mapping[str, Any]) -> None:
        """Refuse options that would be passed over.

        Raises:
            UsageError: An option goes with another that is not given, or does not go with one that is.
        """
        refuse_idle_split(self.anatomy, self.split)
        if self.paint_into is None:
            if self.arteries is not None:
                raise UsageError("--arteries belongs to a study that is painted onto; name it with --paint-into STUDY")
            if self.bundle is not None:
                raise UsageError(
                    "--bundle finds arteries in a study that is painted onto; name it with --paint-into STUDY"
                )
            return
        if self.anatomy is not None:
            raise UsageError("--paint-into paints into the study's own arteries; leave --anatomy out")
        if self.arteries is not None and self.bundle is not None:
            raise UsageError("--arteries says where the arteries are, and no network finds them; leave --bundle out")
        if self.workers > 1:
            raise UsageError("--paint-into paints in one process, for it finds the arteries once; leave --workers out")
        if ranges.get("positive") == 0.0:
            raise UsageError(
                "--paint-into paints at least one embolus; leave --emboli 0 out, the study is there without any"
            )

    def _refuse_settings_of_no_use(self, changed: Set[str], config: Simulation) -> None:
        """Refuse settings that would be passed over.

        Raises:
            UsageError: One says what --emboli says, or does not go with --paint-into.
        """
        if self.emboli and (twice := changed & {"emboli", "positive"}):
            raise UsageError(f"--emboli and simulation.{min(twice)} both say how many emboli there are; leave one out")
        if self.paint_into is None:
            return
        from cascade.simulation.paint_into import SETTINGS

        if idle := changed - SETTINGS:
            text = f"--paint-into keeps the study's own pixels, so simulation.{min(idle)} would change nothing"
            raise UsageError(f"{text}; leave it out, or choose from {', '.join(sorted(SETTINGS))}")
        if config.emboli[1] == 0:
            raise UsageError("--paint-into paints at least one embolus; give simulation.emboli=[1,5], such as that")

    def _simulated(self, out: Path, config: Simulation, seeds: range, maps: list[Path]) -> Iterator[Row]:
        from functools import partial

        from cascade.simulation import simulate_many
        from cascade.simulation.set import keep

        if self.format == "packed":
            from cascade.training.packed import keep_packed

            small = partial(keep_packed, out, self.split)
            return simulate_many(config, seeds, small, anatomies=maps, workers=self.workers)
        into = partial(keep, out, self.format, self.split)
        return simulate_many(config, seeds, into, anatomies=maps, workers=self.workers)

    def _painted(self, out: Path, config: Simulation, seeds: range) -> Iterator[Row]:
        from cascade.simulation.paint_into import find_arteries, paint_into
        from cascade.simulation.set import keep_painted
        from cascade.training.packed import keep_painted_packed

        scan = self.paint_into or Path()
        study, known, found = self._scan(scan)
        arteries = find_arteries(study, found, known.embolus)
        for seed in seeds:
            painted = paint_into(study, known, arteries, config, seed)
            if self.format == "packed":
                yield keep_painted_packed(out, self.split, seed, patient_of(scan), config, painted)
            else:
                yield keep_painted(out, self.format, self.split, seed, patient_of(scan), config, painted)

    def _scan(self, path: Path) -> tuple[Study, Findings, Field]:
        """The real study, what is known of it, and its arteries: as given, else as the networks find them.

        Raises:
            UsageError: The bundle's networks find no arteries.
        """
        from cascade.core.findings import Findings
        from cascade.datasets.layouts import labelled
        from cascade.datasets.masks import as_field, mask_on
        from cascade.pipeline import Cascade
        from cascade.reading import read

        if labelled.is_study(path):
            study, known = labelled.opened(path)
        else:
            study = read(path)
            known = Findings(study.grid)
        if self.arteries is not None:
            return study, known, as_field(mask_on(study, self.arteries) > 0, study.grid)
        found = Cascade.load(self.bundle)(study)
        if found.arteries is None:
            raise UsageError("the bundle's embolus stage has no artery output; name another with --bundle", "E_BUNDLE")
        return study, replace(known, lungs=found.lungs), found.arteries


def begun_with(ranges: Mapping[str, Any]) -> SimulationSettings:
    """The usual settings, with the counts of emboli that --emboli says."""
    from cascade.simulation.config import Simulation, SimulationSettings

    return SimulationSettings(replace(Simulation(), **ranges))


def patient_of(study: Path) -> str:
    """Whom a study is called after, as data sets call it: its folder, or the one above where that is only `ct`."""
    name = stem(study)
    return stem(study.resolve().parent) if name.lower() == "ct" else name


def refuse_unclear_study(path: Path) -> None:
    """Refuse to paint where emboli that a reader outlined would be passed over.

    Raises:
        UsageError: The path is the `ct` of a study whose outlines lie beside it, or holds several such studies.
    """
    from cascade.datasets.layouts import labelled

    if labelled.is_study(path) or not path.is_dir():
        return
    if path.resolve().name == "ct" and labelled.is_study(path.resolve().parent):
        raise UsageError(f"emboli of {path} are outlined in {labelled.MASK} beside it; name the folder that holds both")
    if labelled.fits(path):
        raise UsageError(f"{path} holds several studies with outlined emboli; name one of them with --paint-into")


def emboli_range(text: str) -> Mapping[str, Any]:
    """The fields of a `Simulation` that say how many emboli: `0`, `3` or `1-5`; none for an empty text.

    Raises:
        UsageError: It is none of these.
    """
    if not text:
        return {}
    match = re.fullmatch(r"(\d+)(?:(?:-|\.\.)(\d+))?", text)
    if match is None:
        raise UsageError(f"--emboli {text!r} is no count; write 0, 3 or 1-5")
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise UsageError(f"--emboli {text!r} counts down; write the smaller number first")
    if high > MOST_EMBOLI:
        raise UsageError(f"--emboli {text!r} is more than arteries hold; at most {MOST_EMBOLI} are painted")
    if high == 0:
        return {"positive": 0.0}
    return {"emboli": (max(low, 1), high), **({} if low == 0 else {"positive": 1.0})}


def refuse_idle_split(anatomy: Path | None, split: str) -> None:
    """Refuse a split where there is no folder to choose from.

    Raises:
        UsageError: There is none.
    """
    if split and (anatomy is None or anatomy.is_file()):
        raise UsageError(f"--split {split} chooses among label maps; name their folder by --anatomy, or leave it out")
