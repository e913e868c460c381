"""The cascade: a list of stages, from a bundle, over a study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cascade.bundle as bundles
from cascade.anatomy.lungs import LungFinder
from cascade.bundle import Bundle, subset_name
from cascade.core.errors import UsageError
from cascade.core.files import whole_folder
from cascade.core.findings import Findings
from cascade.core.folder import as_path, stem, usable_out
from cascade.core.progress import Progress, Timings
from cascade.core.registry import nearest
from cascade.core.stage import Learned, Stage
from cascade.core.study import Study
from cascade.core.version import version
from cascade.fusion import Fusion, FusionParameters
from cascade.runtime import Choice, choose
from cascade.writing.formats import check_formats


class Cascade:
    """The lungs by threshold, learned stages, then fusion.

    Running a cascade changes nothing in it: threads may share one, each with studies of its own, and a process that was
    forked may go on with it. It can be pickled, networks and all, and opens them anew where it is unpickled.

    Args:
        stages: Learned stages in order.
        bundle: What they came from: the fusion's parameters, names and hashes.
        choice: The runtime and the device that the stages' networks were opened with.
        operating_point: None for three answers (negative, review, positive); `rule_out`, `balanced` or `rule_in`
            for two.
    """

    def __init__(
        self,
        stages: Sequence[Learned],
        bundle: Bundle | None = None,
        choice: Choice | None = None,
        operating_point: str | None = None,
    ) -> None:
        self.bundle = bundle or Bundle()
        self.choice = choice or Choice("torch", "cpu")
        self.operating_point = operating_point
        self.learned = tuple(stages)
        self.fusion = Fusion(_parameters(self.bundle, self.learned), self.bundle.gates, operating_point=operating_point)

    @classmethod
    def load(
        cls,
        bundle: Path | str | None = None,
        device: str = "auto",
        runtime: str | None = None,
        *,
        operating_point: str | None = None,
    ) -> Cascade:
        """Open a bundle, or the bundle of a training run's folder; None is the one that comes with the package.

        Args:
            bundle: A folder.
            device: `auto` (a GPU where there is one), `cpu`, `gpu` or `gpu:N`.
            runtime: One of `cascade.runtime.RUNTIMES`; None takes the device's best.
            operating_point: As in the class.

        Raises:
            BundleError: The bundle is incomplete, changed, or names what is not known.
            UsageError: The device or the runtime is not there.
        """
        choice = choose(device, runtime)
        loaded = bundles.load(bundle)
        return cls(loaded.open(choice.runtime, choice.device), loaded, choice, operating_point)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order: the threshold's lungs first, the fusion last."""
        return (LungFinder(), *self.learned, self.fusion)

    @property
    def names(self) -> tuple[str, ...]:
        """The learned stages' names, in order."""
        return tuple(stage.name for stage in self.learned)

    def run(self, path: Path | str | Study, series: str | None = None, progress: Progress | None = None) -> Findings:
        """Read a study and pass it through.

        Args:
            path: A DICOM folder, a NIfTI or an NRRD file; or a study that is held already, such as
                `cascade.reading.from_array` makes.
            series: Number, UID or description of the series to take; None chooses and says why.
            progress: Called with "reading" and each stage's name; `Timings` measures seconds by name.

        Raises:
            InputError: The study cannot be read rightly.
            UsageError: It is neither a path nor a study.
        """
        if isinstance(path, Study):
            return self(path, progress)
        if not isinstance(path, str | Path):
            text = f"a study is read from a path, got {type(path).__name__}"
            raise UsageError(f"{text}; an array becomes a study by cascade.reading.from_array(hu, spacing=(z, y, x))")
        return self(_read(path, series, progress), progress)

    def __call__(self, study: Study, progress: Progress | None = None) -> Findings:
        """Pass a study through every stage.

        Raises:
            UsageError: It is no study; `run` takes paths too.
        """
        if not isinstance(study, Study):
            raise UsageError(f"a cascade is called with a Study, got {type(study).__name__}; run() takes a path")
        findings = Findings(study.grid, warnings=study.warnings, provenance=self._provenance(study))
        for stage in self.stages:
            findings = stage(study, findings, progress)
        return findings

    def without(self, *stages: str) -> Cascade:
        """The cascade without some of its learned stages, and with the fusion that was fitted for what is left.

        Where none was fitted the exam has no probability, and the findings say so (`W_FUSION_NOT_FITTED`).

        Raises:
            UsageError: A name is not one of the learned stages.
        """
        for name in stages:
            if name not in self.names:
                raise UsageError(
                    f"there is no stage {name!r} to leave out; {nearest(name, self.names)}", "E_UNKNOWN_STAGE"
                )
        kept = [stage for stage in self.learned if stage.name not in stages]
        return Cascade(kept, self.bundle, self.choice, self.operating_point)

    def save(self, folder: Path | str) -> None:
        """Write the bundle, with the stages that this cascade has.

        Raises:
            UsageError: A stage did not come from a bundle: its weights are not known here.
            BundleError: The folder holds something that is no bundle.
        """
        strange = [name for name in self.names if name not in self.bundle.names]
        if strange:
            raise UsageError(f"stage {strange[0]!r} came from no bundle, so its weights cannot be saved with it")
        kept = tuple(entry for entry in self.bundle.stages if entry.stage in self.names)
        bundles.save(replace(self.bundle, stages=kept), folder)

    def _provenance(self, study: Study) -> Mapping[str, Any]:
        return {
            "bundle": {"name": self.bundle.name, "sha256": self.bundle.sha256},
            "stages": list(self.names),
            "runtime": self.choice.runtime,
            "version": version(),
            "study": study.id,
            "series": study.facts.get("series"),
            "candidates": study.facts.get("candidates"),
            "facts": {key: value for key, value in study.facts.items() if key not in ("series", "candidates")},
        }


@dataclass(frozen=True)
class Answer:
    """What became of one study of several.

    Attributes:
        path: Of the study.
        out: The folder of its results.
        findings: What was found; None where there is an error.
        error: Why it could not be answered; nothing was written then.
    """

    path: Path
    out: Path
    findings: Findings | None = None
    error: Exception | None = None

    def result(self) -> Findings:
        """The findings; where there are none, the study's error is raised."""
        if self.findings is None:
            raise self.error or UsageError(f"{self.path} was not answered")
        return self.findings


def run_studies(
    cascade: Cascade,
    studies: Sequence[Path | str],
    out: Path | str,
    *,
    series: str | None = None,
    formats: Sequence[str] = ("json", "csv", "nifti", "html"),
    spent: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> Iterator[Answer]:
    """Read studies, answer each, and write its results whole or not at all; what `cascade run` does.

    An error of one study is its answer, and the next ones are read.

    Args:
        cascade: What answers.
        studies: Paths, as `Cascade.run` takes them.
        out: Folder for the results of one study; of several, each has a folder of its own name in it.
        series: As in `Cascade.run`.
        formats: See `cascade.writing.save_run`.
        spent: Seconds that were spent before, such as "loading", for each run.json.
        progress: As in `Cascade.run`.

    Returns:
        The answers in order, each when it is written.

    Raises:
        UsageError: Two studies would share a folder, a folder holds something else, or a format is unknown.
    """
    check_formats(formats)
    folders = folders_of(studies, out)

    def answers() -> Iterator[Answer]:
        for path, folder in folders.items():
            try:
                findings = _run_one(cascade, path, folder, series, formats, spent or {}, progress)
            except Exception as error:  # whatever befalls a study, the next ones are read
                yield Answer(path, folder, error=error)
            else:
                yield Answer(path, folder, findings)

    return answers()


def folders_of(studies: Iterable[Path | str], out: Path | str) -> dict[Path, Path]:
    """Where the results of each study go: to `out` for one study, to a folder in it by the name of each for several.

    Raises:
        UsageError: Two studies would share a folder, or a folder holds what is no earlier result.
    """
    if isinstance(studies, str | Path):
        raise UsageError("several studies are a list of paths, got one path; write [path]")
    paths, out = [as_path(study, "a study") for study in studies], as_path(out, "a folder for results")
    names = [stem(path) for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two studies are called {twice[0]!r} and would share a folder in {out}; run them apart")
    folders = {path: out if len(paths) == 1 else out / name for path, name in zip(paths, names, strict=True)}
    for folder in folders.values():
        usable_out(folder)
    return folders


def _run_one(
    cascade: Cascade,
    path: Path,
    out: Path,
    series: str | None,
    formats: Sequence[str],
    spent: Mapping[str, float],
    progress: Progress | None,
) -> Findings:
    from cascade.writing import save_run

    timings = Timings(progress)
    study = _read(path, series, timings)
    findings = cascade.run(study, progress=timings)
    seconds = {name: round(value, 3) for name, value in {**spent, **timings.seconds}.items()}
    how = {"seconds": seconds, "runtime": cascade.choice.runtime, "device": cascade.choice.device}
    if cascade.choice.note:
        how["device_note"] = cascade.choice.note
    with whole_folder(out) as part:
        save_run(study, findings, how, part, formats)
    return findings


def _read(path: Path | str, series: str | None, progress: Progress | None) -> Study:
    from cascade.reading import read

    if progress is not None:
        progress("reading", 0, 1)
    study = read(path, series)
    if progress is not None:
        progress("reading", 1, 1)
    return study


def _parameters(bundle: Bundle, learned: Sequence[Learned]) -> FusionParameters:
    """The fusion for these stages; where none was fitted, one that names lesions and abstains."""
    fitted = bundle.fusion.get(subset_name(stage.name for stage in learned))
    if fitted is not None:
        return fitted
    full = bundle.fusion.get(subset_name(bundle.names))
    return FusionParameters() if full is None else FusionParameters(lesions=full.lesions)
