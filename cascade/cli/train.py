"""`cascade-train`: data in, a run folder with a bundle out. What its commands share."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from tyro.conf import Positional, arg

from cascade.cli.options import Bundle, existing
from cascade.cli.overrides import override
from cascade.cli.program import OK, Command, Program
from cascade.cli.terminal import say
from cascade.errors import UsageError

if TYPE_CHECKING:
    from cascade.bundle import Bundle as Weights
    from cascade.training.loop import Plan

Folders = Annotated[tuple[Path, ...], arg(metavar="FOLDER [FOLDER ...]")]
Count = Annotated[int | None, arg(metavar="INT")]
Amount = Annotated[float | None, arg(metavar="FLOAT")]


@dataclass(frozen=True, kw_only=True)
class Training(Command):
    """Options that all training of networks has.

    Attributes:
        overrides: Settings by dotted key, such as plan.weight_decay=0.02; a wrong key is answered with the nearest.
        data: Folders to learn from: simulated sets, labelled studies, plain scans, stored cases.
        validation: Folders of other patients, to choose the best weights by.
        out: Run folder, which must be new; runs/NAME, runs/NAME2 ... by default.
        bundle: Bundle that supplies the other stages.
        batch_size: Samples a batch.
        learning_rate: Highest rate.
        seed: Of everything random.
    """

    overrides: Positional[Annotated[tuple[str, ...], arg(metavar="[KEY=VALUE ...]")]] = ()
    data: Folders = ()
    validation: Folders = ()
    out: Annotated[Path | None, arg(aliases=["-o", "--log-dir"], metavar="RUN")] = None
    bundle: Bundle = None
    batch_size: Count = None
    learning_rate: Amount = None
    seed: Count = None

    def checked(self) -> None:
        """Refuse what cannot be trained with, before anything heavy is imported.

        Raises:
            UsageError: No data were named.
            InputError: A folder is not there.
        """
        if not self.data:
            raise UsageError("no data to learn from; give --data FOLDER")
        for folder in (*self.data, *self.validation):
            existing(folder)

    def base(self) -> Weights | None:
        """The bundle to add to."""
        from cascade.bundle import load

        return None if self.bundle is None else load(self.bundle)

    def finished(self, run: Path) -> int:
        """Say where the result is."""
        say(self, f"trained; the bundle is {run / 'bundle'}")
        return OK


@dataclass(frozen=True, kw_only=True)
class Looped(Training):
    """Options of networks that are trained by the package's own loop.

    Attributes:
        steps: Batches.
        epochs: The same, counted in evaluations (plan.evaluate_every batches).
        minutes: Stop the clock here; 0 for no limit.
        start: Weights (safetensors) to begin with.
        resume: Go on with this run, which was stopped, as it was asked then.
    """

    steps: Count = None
    epochs: Count = None
    minutes: Amount = None
    start: Annotated[Path | None, arg(metavar="FILE")] = None
    resume: Annotated[Path | None, arg(metavar="RUN")] = None

    def again(self) -> Self:
        """This command; where a run is resumed, with the sources that the run had, unless others are given.

        Raises:
            UsageError: The folder holds no run that was stopped, or a folder for a new run is given too.
        """
        if self.resume is None:
            return self
        if self.out is not None:
            raise UsageError("--resume goes on in the run's own folder; leave -o out")
        from cascade.training.run import asked

        before = asked(self.resume)
        fixed = {name: before[name] for name in ("net", "stage") if hasattr(self, name)}
        kept: dict[str, Any] = {
            "data": tuple(Path(folder) for folder in before["data"]),
            "validation": tuple(Path(folder) for folder in before["validation"]),
            "start": before["start"] and Path(before["start"]),
            "bundle": before["bundle"] and Path(before["bundle"]),
        }
        return replace(self, **fixed, **{name: value for name, value in kept.items() if not getattr(self, name)})

    def beginning(self) -> dict[str, Any]:
        """What a training begins with, by its arguments: start weights, other stages, whether a run is gone on with."""
        return {"start": self.start, "base": self.base(), "resume": self.resume is not None}

    def settings(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """The usual settings, or those of the run that is resumed, with the flags and overrides that were given.

        Raises:
            UsageError: The length is given twice, or an override is wrong.
        """
        if self.steps is not None and self.epochs is not None:
            raise UsageError("--steps and --epochs say the same; give one of them")
        from cascade.config import from_json

        begun = dict(usual)
        if self.resume is not None:
            from cascade.training.run import asked

            before = asked(self.resume)
            begun = {
                k: before[k] if isinstance(v, Mapping) else from_json(type(v), before[k], k) for k, v in usual.items()
            }
        settings = override({**begun, "plan": self.plan(begun["plan"])}, self.overrides)
        if self.epochs is not None:
            settings["plan"] = replace(settings["plan"], steps=self.epochs * settings["plan"].evaluate_every)
        return settings

    def folder(self, name: str) -> Path:
        """The run folder: a new one, or that of the run that is resumed."""
        return self.resume or new_run(self.out, name)

    def plan(self, usual: Plan) -> Plan:
        """The plan with the flags that were given."""
        return replace(
            usual,
            **given(
                steps=self.steps,
                minutes=self.minutes,
                batch=self.batch_size,
                learning_rate=self.learning_rate,
                seed=self.seed,
            ),
        )


def given(**flags: Any) -> dict[str, Any]:
    """The flags that were set."""
    return {name: value for name, value in flags.items() if value is not None}


def new_run(out: Path | None, name: str) -> Path:
    """The run folder: the one that was asked for, else the first of runs/NAME, runs/NAME2, ... that is free."""
    if out is not None:
        return out
    names = (name if i == 1 else f"{name}{i}" for i in itertools.count(1))
    return next(folder for folder in (Path("runs") / one for one in names) if not folder.exists())


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `cascade-train`. Returns its exit code."""
    from cascade.cli.train_check import Check
    from cascade.cli.train_classifier import Classifier
    from cascade.cli.train_detector import Detector
    from cascade.cli.train_fusion import Fusion
    from cascade.cli.train_images import Images
    from cascade.cli.train_segmenter import Segmenter

    commands: dict[str, type[Command]] = {
        "detector": Detector,
        "classifier": Classifier,
        "segmenter": Segmenter,
        "fusion": Fusion,
        "check": Check,
        "images": Images,
    }
    return Program("cascade-train", "Trains the networks of a cascade, and fits its fusion.", commands)(arguments)
