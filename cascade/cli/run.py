"""`cascade run`: read studies and answer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cascade.cli.folder import usable_out
from cascade.cli.options import (
    STUDY,
    USUAL_FORMATS,
    Bundle,
    Device,
    Formats,
    Out,
    Runtime,
    Series,
    Studies,
    existing,
    named,
    output_formats,
    stem,
)
from cascade.cli.program import OK, PART_FAILED, Command, failed, tell
from cascade.cli.terminal import progress_bar, say, summary
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder

if TYPE_CHECKING:
    from cascade.pipeline import Cascade


@dataclass(frozen=True, kw_only=True)
class Run(Command):
    """Read studies and answer: embolism or not, where, how sure, why.

    For example:
        cascade run STUDY -o OUT
        cascade run STUDY -o OUT --series 4 --json
        cascade run A B C -o OUT            (results in OUT/A, OUT/B, OUT/C)

    Attributes:
        study: DICOM folder, NIfTI or NRRD file; several make a batch.
        out: Folder for the results; written whole or not at all.
        json: Print findings.json to stdout as well; one line a study where there are several.
        series: Number, UID or description of the series to read; chosen, and explained, by default.
        device: Where the networks run: auto, cpu, gpu or gpu:N.
        bundle: Folder of weights; the shipped ones by default.
        runtime: What runs the networks; the device's fastest by default, torch is the reference.
    """

    study: Studies
    out: Out
    json: bool = False
    series: Series = None
    device: Device = "auto"
    bundle: Bundle = None
    runtime: Runtime = "auto"
    formats: Formats = USUAL_FORMATS

    def run(self) -> int:
        """Each study through the cascade; results to OUT."""
        if not self.study:
            raise UsageError("no study given; cascade run STUDY -o OUT")
        chosen = output_formats(self.formats)
        targets = self._targets()
        for study, out in targets:
            usable_out(out)
            if len(targets) == 1:
                existing(study, STUDY)
        from cascade.pipeline import Cascade

        start = time.perf_counter()
        cascade = Cascade.load(self.bundle, device=self.device, runtime=named(self.runtime))
        loading = time.perf_counter() - start
        if len(targets) == 1:
            self._one(cascade, *targets[0], chosen, loading)
            return OK
        bad = 0
        for study, out in targets:
            try:
                self._one(cascade, existing(study, STUDY), out, chosen, loading)
            except Exception as error:  # whatever befalls a study, the next ones are read
                failed(self, error, f"{study}: ")
                bad += 1
        say(self, f"{len(targets) - bad} of {len(targets)} studies read")
        return PART_FAILED if bad else OK

    def _targets(self) -> list[tuple[Path, Path]]:
        if len(self.study) == 1:
            return [(self.study[0], self.out)]
        names = [stem(study) for study in self.study]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(
                f"two studies are called {twice[0]!r} and would share a folder in {self.out}; run them apart"
            )
        return [(study, self.out / name) for study, name in zip(self.study, names, strict=True)]

    def _one(self, cascade: Cascade, study: Path, out: Path, chosen: tuple[str, ...], loading: float) -> None:
        from cascade.reading import read
        from cascade.writing import save_run

        with progress_bar(self) as progress:
            start = time.perf_counter()
            evidence = read(study, series=self.series)
            reading = time.perf_counter() - start
            findings = cascade(evidence, progress)
        seconds = {
            name: round(value, 3) for name, value in {"loading": loading, "reading": reading, **cascade.timings}.items()
        }
        how = {"seconds": seconds, "runtime": cascade.choice.runtime, "device": cascade.choice.device}
        if cascade.choice.note:
            how["device_note"] = cascade.choice.note
        with whole_folder(out) as part:
            save_run(evidence, findings, how, part, chosen)
        if self.json:
            text = (out / "findings.json").read_text(encoding="utf-8").rstrip("\n")
            tell(text if len(self.study) == 1 else json.dumps(json.loads(text), ensure_ascii=False))
        say(self, *summary(str(study), findings), f"  results in {out}")
