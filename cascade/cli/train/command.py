"""`cascade-train`: data in, a run folder with a bundle out. What its commands share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast

from tyro.conf import arg

from cascade.cli.options import Bundle, existing
from cascade.cli.program import OK, say_aside
from cascade.cli.settings import Change, Configured, merged
from cascade.cli.terminal import say
from cascade.cli.train.options import Amount, Count, Folders, Name, YesNo, is_yes
from cascade.core.errors import UsageError

if TYPE_CHECKING:
    from cascade.bundle import Bundle as Weights

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrainingCommand(Configured):
    """Options that all training of networks has.

    Attributes:
        data: Data sets to learn from: folders in any layout of docs/datasets.md, or YAML files that describe one.
        validation: Data sets of other patients, to choose the best weights by, and to fit the fusion on.
        dataset: Layout of the data sets, where it cannot be found by looking: rsna, fumpe ... (docs/datasets.md).
        out: Run folder, which must be new; runs/NAME, runs/NAME2 ... by default.
        resume: Go on with this run, which was stopped, with the settings and sources that it had.
        bundle: Bundle that supplies the other stages.
        fusion: Fit the fusion at the end, where there are validation data and the bundle is whole; yes by default.
        epochs: How long: passes over the pictures of the detector; evaluations of all others.
        batch_size: Samples a batch.
        learning_rate: Highest rate.
        seed: Of everything random.
    """

    own_setting: ClassVar[str]
    """A setting that this command alone has, by which its runs are known."""

    data: Folders = ()
    validation: Folders = ()
    dataset: Name = None
    out: Annotated[Path | None, arg(aliases=["-o", "--log-dir"], metavar="RUN")] = None
    resume: Annotated[Path | None, arg(metavar="RUN")] = None
    bundle: Bundle = None
    fusion: YesNo = None
    epochs: Count = None
    batch_size: Count = None
    learning_rate: Amount = None
    seed: Count = None

    def resumed(self) -> Self:
        """This command; where a run is resumed, with the sources that the run had, unless others are given.

        Raises:
            UsageError: The folder holds no run of this command that was stopped, or a folder for a new run is given
                too.
        """
        if self.resume is None:
            return self
        if self.out is not None:
            raise UsageError("--resume goes on in the run's own folder; leave -o out")
        saved = self.saved_arguments()
        sources: dict[str, Any] = {name: tuple(map(Path, saved[name])) for name in ("data", "validation")}
        sources["bundle"] = saved["bundle"] and Path(saved["bundle"])
        return replace(self, **{name: value for name, value in sources.items() if not getattr(self, name)})

    def saved_arguments(self) -> Mapping[str, Any]:
        """The settings and sources of the run that is resumed.

        Raises:
            UsageError: The folder holds no run of this command that was stopped.
        """
        from cascade.training.arguments import load_arguments

        assert self.resume is not None
        saved = load_arguments(self.resume)
        if self.own_setting not in saved:
            raise UsageError(
                f"{self.resume} is the run of another command; resume it with the one that began it", "E_RESUME"
            )
        return saved

    def refuse_absent_data(self) -> None:
        """Refuse data that are not named or not there, before anything heavy is imported.

        Raises:
            UsageError: No data were named.
            InputError: A folder is not there.
        """
        if not self.data:
            raise UsageError("no data to learn from; give --data FOLDER")
        for folder in (*self.data, *self.validation):
            existing(folder)

    def settings(self, usual: T) -> T:
        """The usual settings, or those of the run that is resumed, with the changes that were given.

        Raises:
            InputError: The file of settings is not there.
            UsageError: A key is unknown, or a value is wrong.
        """
        if self.resume is not None:
            from cascade.training.arguments import saved_settings

            usual = saved_settings(type(usual), self.saved_arguments(), self.resume)
        return merged(usual, self.changes())

    def flags(self) -> Mapping[str, Any]:
        """The options that every training has, as settings."""
        return {"dataset": self.dataset, "fusion": is_yes(self.fusion)}

    def base(self) -> Weights | None:
        """The bundle that supplies the other stages."""
        from cascade.bundle import load

        return None if self.bundle is None else load(self.bundle)

    def remark(self, text: str) -> None:
        """A sentence that matters, on stderr."""
        if not self.quiet:
            say_aside(text)

    def left(self) -> str:
        """A run folder, from which the training can go on."""
        return f"a run that had begun goes on with --resume {self.resume or self.out or 'RUN'}"

    def folder(self, name: str) -> Path:
        """The run folder: a new one, or that of the run that is resumed."""
        return self.resume or new_run(self.out, name)

    def finished(self, run: Path) -> int:
        """Say where the result is."""
        say(self, f"trained; the bundle is {run / 'bundle'}")
        return OK


@dataclass(frozen=True, kw_only=True)
class LoopCommand(TrainingCommand):
    """Options of networks that are trained by the package's own loop.

    Attributes:
        steps: Batches.
        minutes: Stop the clock here; 0 for no limit. Of the stage coarse they count from each start.
        start: Weights (safetensors) to begin with.
        assume_negative: Plain scans, of which nobody says anything, show no embolism; it is unknown otherwise.
    """

    steps: Count = None
    minutes: Amount = None
    start: Annotated[Path | None, arg(metavar="FILE")] = None
    assume_negative: bool = False

    def resumed(self) -> Self:
        """This command, with the sources of the run that is resumed; of several processes, all but the first are quiet.

        Raises:
            UsageError: Several processes are given no folder.
        """
        command = super().resumed()
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return command
        if self.out is None and self.resume is None:
            raise UsageError("processes that train together need one folder; give -o RUN")
        return command if os.environ.get("RANK") == "0" else replace(command, quiet=True)

    def refuse_absent_data(self) -> None:
        """Refuse data, and weights to begin with, that are not there."""
        super().refuse_absent_data()
        if self.start is not None:
            existing(self.start, "a safetensors file")

    def flags(self) -> Mapping[str, Any]:
        """The options of every training, and those that stand for settings of the plan."""
        return {
            **super().flags(),
            "start": self.start and str(self.start.resolve()),
            "assume_negative": self.assume_negative or None,
            "plan.steps": self.steps,
            "plan.minutes": self.minutes,
            "plan.batch": self.batch_size,
            "plan.learning_rate": self.learning_rate,
            "plan.seed": self.seed,
        }

    def settings(self, usual: T) -> T:
        """The usual settings with the changes that were given; --epochs becomes as many steps of evaluations.

        Raises:
            InputError: The file of settings is not there.
            UsageError: The length is given twice, a key is unknown, or a value is wrong.
        """
        made: Any = super().settings(usual)
        if self.epochs is None:
            return cast(T, made)
        if self.steps is not None:
            raise UsageError("--steps and --epochs say the same; give one of them")
        if any(word.startswith("plan.steps=") for word in self.overrides):
            raise UsageError("plan.steps and --epochs say the same; give one of them")
        return cast(T, merged(made, [Change("plan.steps", self.epochs * made.plan.evaluate_every)]))


def new_run(out: Path | None, name: str) -> Path:
    """The run folder: the one that is named, else the first of runs/NAME, runs/NAME2, ... that is free."""
    if out is not None:
        return out
    names = (name if i == 1 else f"{name}{i}" for i in itertools.count(1))
    return next(folder for folder in (Path("runs") / one for one in names) if is_free(folder))


def is_free(folder: Path) -> bool:
    """Whether a new run may take a folder: it is not there, or holds the packed cases of a start that was stopped."""
    return not folder.exists() or (folder.is_dir() and {one.name for one in folder.iterdir()} == {"cases"})
