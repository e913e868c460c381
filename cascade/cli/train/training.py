"""`cascade-train`: data in, a run folder with a bundle out. What its commands share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from tyro.conf import Positional, arg

from cascade.cli.options import Bundle, existing
from cascade.cli.overrides import Change, changed, from_file, parsed
from cascade.cli.program import OK, Command, say_aside
from cascade.cli.terminal import say
from cascade.core.errors import UsageError
from cascade.core.registry import nearest

if TYPE_CHECKING:
    from cascade.bundle import Bundle as Weights

Folders = Annotated[tuple[Path, ...], arg(metavar="FOLDER [FOLDER ...]")]
Count = Annotated[int | None, arg(metavar="INT")]
Amount = Annotated[float | None, arg(metavar="FLOAT")]


@dataclass(frozen=True, kw_only=True)
class Training(Command):
    """Options that all training of networks has. A flag goes before an override, an override before the file.

    Attributes:
        overrides: Settings by dotted key, as in the examples; a wrong key is answered with the nearest, and args.yaml
            of a run names them all.
        config: Settings by the same keys, in a YAML file.
        data: Data sets to learn from: folders in any layout of docs/datasets.md, or YAML files that describe one.
        validation: Data sets of other patients, to choose the best weights by, and to fit the fusion on.
        dataset: Layout of the data sets, where it cannot be found by looking: rsna, fumpe ... (docs/datasets.md).
        out: Run folder, which must be new; runs/NAME, runs/NAME2 ... by default.
        resume: Go on with this run, which was stopped, as it was asked then.
        bundle: Bundle that supplies the other stages.
        fusion: Fit the fusion at the end, where there are validation data and the bundle is whole, yes or no.
        epochs: How long: passes over the pictures of the detector; evaluations of all others.
        batch_size: Samples a batch.
        learning_rate: Highest rate.
        seed: Of everything random.
    """

    settles: ClassVar[str]
    """A setting that this command alone has, by which its runs are known."""

    overrides: Positional[Annotated[tuple[str, ...], arg(metavar="[KEY=VALUE ...]")]] = ()
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    data: Folders = ()
    validation: Folders = ()
    dataset: Annotated[str | None, arg(metavar="NAME")] = None
    out: Annotated[Path | None, arg(aliases=["-o", "--log-dir"], metavar="RUN")] = None
    resume: Annotated[Path | None, arg(metavar="RUN")] = None
    bundle: Bundle = None
    fusion: Literal["yes", "no"] = "yes"
    epochs: Count = None
    batch_size: Count = None
    learning_rate: Amount = None
    seed: Count = None

    def again(self) -> Self:
        """This command; where a run is resumed, with the sources that the run had, unless others are given.

        Raises:
            UsageError: The folder holds no run of this command that was stopped, or a folder for a new run is given
                too.
        """
        if self.resume is None:
            return self
        if self.out is not None:
            raise UsageError("--resume goes on in the run's own folder; leave -o out")
        before = self.before()
        if self.settles not in before:
            raise UsageError(
                f"{self.resume} is the run of another command; resume it with the one that began it", "E_RESUME"
            )
        fixed = {
            name: before[name] for name in ("net", "stage", "add_member") if hasattr(self, name) and name in before
        }
        kept: dict[str, Any] = {
            "data": tuple(Path(folder) for folder in before["data"]),
            "validation": tuple(Path(folder) for folder in before["validation"]),
            "dataset": before.get("dataset"),
            "bundle": before["bundle"] and Path(before["bundle"]),
        }
        return replace(self, **fixed, **{name: value for name, value in kept.items() if not getattr(self, name)})

    def before(self) -> Mapping[str, Any]:
        """What the run that is resumed was asked."""
        from cascade.training.run import asked

        assert self.resume is not None
        return asked(self.resume)

    def checked(self) -> None:
        """Refuse what cannot be trained with, before anything heavy is imported.

        Raises:
            UsageError: No data were named, or a name is unknown.
            InputError: A folder is not there.
        """
        if not self.data:
            raise UsageError("no data to learn from; give --data FOLDER")
        for folder in (*self.data, *self.validation):
            existing(folder)
        if self.dataset is not None:
            from cascade.datasets import LAYOUTS

            listed("data set layout", self.dataset, LAYOUTS)

    def settings(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """The usual settings, or those of the run that is resumed, with what the file, overrides and flags say.

        Raises:
            UsageError: A key is unknown, or a value is wrong.
        """
        begun = dict(usual)
        if self.resume is not None:
            from cascade.core.config import from_json

            before = {name: value for name, value in self.before().items() if name in usual}
            begun |= {
                name: value if isinstance(usual[name], Mapping) else from_json(type(usual[name]), value, name)
                for name, value in before.items()
            }
        file = from_file(self.config) if self.config else []
        return changed(begun, [*file, *parsed(self.overrides), *self.flags()])

    def flags(self) -> Iterable[Change]:
        """The settings that options of their own stand for, where they were given."""
        return ()

    def beginning(self) -> dict[str, Any]:
        """What every training begins with, by its arguments."""
        from cascade.bundle import load

        base: Weights | None = None if self.bundle is None else load(self.bundle)
        return {
            "base": base,
            "dataset": self.dataset,
            "fusion": self.fusion == "yes",
            "resume": self.resume is not None,
            "say": self.remark,
        }

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
class Looped(Training):
    """Options of networks that are trained by the package's own loop.

    Attributes:
        steps: Batches.
        minutes: Stop the clock here; 0 for no limit.
        start: Weights (safetensors) to begin with.
    """

    steps: Count = None
    minutes: Amount = None
    start: Annotated[Path | None, arg(metavar="FILE")] = None

    def again(self) -> Self:
        """As of every training; and of several processes, all but the first are quiet."""
        asked = super().again()
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return asked
        if self.out is None and self.resume is None:
            raise UsageError("processes that train together need one folder; give -o RUN")
        return asked if os.environ.get("RANK") == "0" else replace(asked, quiet=True)

    def checked(self) -> None:
        """As of every training; and start weights must be there."""
        super().checked()
        if self.start is not None:
            existing(self.start, "a safetensors file")

    def settings(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """As of every training; epochs are counted in evaluations.

        Raises:
            UsageError: The length is given twice, a key is unknown, or a value is wrong.
        """
        if self.steps is not None and self.epochs is not None:
            raise UsageError("--steps and --epochs say the same; give one of them")
        settings = super().settings(usual)
        if self.epochs is not None:
            settings["plan"] = replace(settings["plan"], steps=self.epochs * settings["plan"].evaluate_every)
        return settings

    def flags(self) -> Iterable[Change]:
        """Of the plan."""
        return given(
            {
                "plan.steps": self.steps,
                "plan.minutes": self.minutes,
                "plan.batch": self.batch_size,
                "plan.learning_rate": self.learning_rate,
                "plan.seed": self.seed,
            }
        )

    def beginning(self) -> dict[str, Any]:
        """As of every training; and the weights to begin with."""
        return {**super().beginning(), "start": self.start}


def given(flags: Mapping[str, Any]) -> list[Change]:
    """The flags that were set."""
    return [(name, value) for name, value in flags.items() if value is not None]


def listed(what: str, name: str, known: Iterable[str]) -> str:
    """A name that is on a list.

    Raises:
        UsageError: It is not; the nearest is named.
    """
    names = list(known)
    if name not in names:
        raise UsageError(f"unknown {what} {name!r}; {nearest(name, names)}")
    return name


def new_run(out: Path | None, name: str) -> Path:
    """The run folder: the one that was asked for, else the first of runs/NAME, runs/NAME2, ... that is free."""
    if out is not None:
        return out
    names = (name if i == 1 else f"{name}{i}" for i in itertools.count(1))
    return next(folder for folder in (Path("runs") / one for one in names) if not folder.exists())
