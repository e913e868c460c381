"""The cascade: a list of stages, from a bundle, over a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cascade.bundle as bundles
from cascade.anatomy.lungs import LungFinder
from cascade.bundle import Bundle, subset_name
from cascade.core.errors import UsageError
from cascade.core.findings import Findings
from cascade.core.registry import nearest
from cascade.core.stage import Learned, Stage
from cascade.core.study import Study
from cascade.core.version import version
from cascade.fusion import Fusion, FusionParameters
from cascade.runtime import Choice, choose

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the number of samples done and their total."""


class Cascade:
    """The lungs by threshold, learned stages, then fusion.

    Args:
        stages: Learned stages in order.
        bundle: What they came from: the fusion's parameters, names and hashes.
        choice: The runtime and the device that the stages' networks were opened with.
        operating_point: None for three answers (negative, review, positive); `rule_out`, `balanced` or `rule_in`
            for two.

    Attributes:
        timings: Seconds of each step of the last run. They belong to the run, not to the findings.
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
        self.timings: dict[str, float] = {}

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
            progress: Told of every step.

        Raises:
            InputError: The study cannot be read rightly.
            UsageError: It is neither a path nor a study.
        """
        if isinstance(path, Study):
            return self(path, progress)
        if not isinstance(path, str | Path):
            text = f"a study is read from a path, got {type(path).__name__}"
            raise UsageError(f"{text}; an array becomes a study by cascade.reading.from_array(hu, spacing=(z, y, x))")
        from cascade.reading import read

        start = time.perf_counter()
        if progress is not None:
            progress("reading", 0, 1)
        study = read(Path(path), series)
        if progress is not None:
            progress("reading", 1, 1)
        reading = time.perf_counter() - start
        findings = self(study, progress)
        self.timings = {"reading": reading, **self.timings}
        return findings

    def __call__(self, study: Study, progress: Progress | None = None) -> Findings:
        """Pass a study through every stage.

        Raises:
            UsageError: It is no study; `run` takes paths too.
        """
        if not isinstance(study, Study):
            raise UsageError(f"a cascade is called with a Study, got {type(study).__name__}; run() takes a path")
        findings = Findings(study.grid, warnings=study.warnings, provenance=self._provenance(study))
        self.timings = {}
        for stage in self.stages:
            start = time.perf_counter()
            findings = stage(study, findings, None if progress is None else _watch(progress, stage.name))
            self.timings[stage.name] = time.perf_counter() - start
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


def _parameters(bundle: Bundle, learned: Sequence[Learned]) -> FusionParameters:
    """The fusion for these stages; where none was fitted, one that names lesions and abstains."""
    fitted = bundle.fusion.get(subset_name(stage.name for stage in learned))
    if fitted is not None:
        return fitted
    full = bundle.fusion.get(subset_name(bundle.names))
    return FusionParameters() if full is None else FusionParameters(lesions=full.lesions)


def _watch(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
