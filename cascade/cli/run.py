"""`cascade run`: read studies and answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cascade.cli.options import (
    STUDY,
    USUAL_FORMATS,
    Bundle,
    Device,
    Formats,
    OperatingPoint,
    Out,
    Runtime,
    Series,
    Studies,
    Without,
    existing,
    named,
    output_formats,
)
from cascade.cli.program import OK, PART_FAILED, Command, failed, tell
from cascade.cli.terminal import progress_bar, say, summary
from cascade.core.errors import UsageError

if TYPE_CHECKING:
    from cascade.pipeline import Answer


@dataclass(frozen=True, kw_only=True)
class Run(Command):
    """Read studies and answer: embolism or not, where, how sure, why.

    For example:
        cascade run STUDY -o OUT
        cascade run STUDY -o OUT --series 4 --json
        cascade run A B C -o OUT            (results in OUT/A, OUT/B, OUT/C)
        cascade run STUDY -o OUT --operating-point rule_out
        cascade run STUDY -o OUT --without siamese

    Attributes:
        study: DICOM folder, NIfTI or NRRD file; several make a batch.
        out: Folder for the results; written whole or not at all.
        json: Print findings.json to stdout as well; one line a study where there are several.
        series: Number, UID or description of the series to read; chosen, and explained, by default.
        device: Where the networks run: auto, cpu, gpu or gpu:N.
        bundle: Folder of weights; the shipped ones by default.
        runtime: What runs the networks; the device's fastest by default, torch is the reference.
        operating_point: Answer positive or negative at this point, and name the lesions that it keeps: rule_out
            misses least, rule_in has the fewest false positives; by default three answers, with review between.
        without: Stages to leave out, with commas, such as siamese,lung_filter; the fusion that was fitted for the
            others answers.
    """

    study: Studies
    out: Out
    json: bool = False
    series: Series = None
    device: Device = "auto"
    bundle: Bundle = None
    runtime: Runtime = "auto"
    operating_point: OperatingPoint = None
    without: Without = ""
    formats: Formats = USUAL_FORMATS

    def run(self) -> int:
        """Each study through the cascade; results to OUT."""
        if not self.study:
            raise UsageError("no study given; cascade run STUDY -o OUT")
        formats = output_formats(self.formats)
        if len(self.study) == 1:
            existing(self.study[0], STUDY)
        from cascade.core.progress import Timings
        from cascade.pipeline import Cascade, folders_of, run_studies

        folders_of(self.study, self.out)  # refused before the networks are loaded
        timings = Timings()
        cascade = Cascade.load(
            self.bundle, device=self.device, runtime=named(self.runtime), operating_point=self.operating_point
        ).without(*(name.strip() for name in self.without.split(",") if name.strip()))
        timings("loading", 1, 1)
        bad = 0
        with progress_bar(self) as progress:
            answers = run_studies(
                cascade,
                self.study,
                self.out,
                series=self.series,
                formats=formats,
                spent=timings.seconds,
                progress=progress,
            )
            for answer in answers:
                if answer.error is None:
                    self._tell(answer)
                elif len(self.study) == 1:
                    raise answer.error
                else:
                    failed(self, answer.error, f"{answer.path}: ")
                    bad += 1
        if len(self.study) > 1:
            say(self, f"{len(self.study) - bad} of {len(self.study)} studies read")
        return PART_FAILED if bad else OK

    def _tell(self, answer: Answer) -> None:
        if self.json:
            text = (answer.out / "findings.json").read_text(encoding="utf-8").rstrip("\n")
            tell(text if len(self.study) == 1 else json.dumps(json.loads(text), ensure_ascii=False))
        say(self, *summary(str(answer.path), answer.result()), f"  results in {answer.out}")
