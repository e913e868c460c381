"""Ultralytics' own trainer, begun or gone on with, in a run's own folder.

Its checkpoints are `.pt` files, which are pickles: only those of the run's own folder are opened, with
`weights_only` and Ultralytics' list of its own classes (`runtime/switches.py` sets the switch); none leaves the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cascade.core.errors import UsageError
from cascade.core.files import write_whole
from cascade.runtime import offline
from detectors.step_logger import Noted, StepWatch
from detectors.ultralytics_door import quiet_ultralytics, trainer

OnEpoch = Callable[[int, int, Mapping[str, float]], None]
"""Called after an epoch: how many are done, how many there are, their figures."""

KEPT_SETTINGS = {"epochs": "training.epochs", "lr0": "training.rate", "seed": "training.seed", "imgsz": "config.size"}
"""Settings that a trainer which is resumed keeps as they were, by its own names for them."""

KEPT = "kept.pt"
"""A copy of the last checkpoint that was written whole."""


def run_trainer(
    run_dir: Path,
    yaml: str,
    arguments: Mapping[str, Any],
    on_epoch: OnEpoch | None = None,
    on_step: Noted = lambda _: None,
) -> tuple[Any, dict[str, float]]:
    """Train on the run's pictures to the end, from wherever the run stands.

    Args:
        run_dir: Holds `pictures/data.yaml`; the trainer writes into `ultralytics/`.
        yaml: Description of the network.
        arguments: What the trainer is called with.
        on_epoch: Called after every epoch.
        on_step: Called after every step.

    Returns:
        The best model, as Ultralytics builds it, and its mAP on the validation pictures.

    Raises:
        UsageError: The run stands elsewhere, or was begun with other settings.
    """
    own = run_dir / "ultralytics"
    last = standing(run_dir)
    if last is not None and not 0 <= last["epoch"] < arguments["epochs"] - 1:
        # It had come to its end: the trainer begins no epoch again, and forgets at the end which it was.
        best = own / "weights" / "best.pt"
        return trainer(best).model, figures_of((opened(best) or last)["train_metrics"])
    if last is None:
        shutil.rmtree(own, ignore_errors=True)
        model, options = trainer(yaml), dict(arguments)
    else:
        refuse_changes(last["train_args"], arguments)
        model = trainer(own / "weights" / "last.pt")
        # The rest it knows; its folder may have been moved since.
        options = {name: arguments[name] for name in ("batch", "cache", "device", "patience", "workers")}
        options |= {"resume": True, "save_dir": str(own.resolve())}

    def epoch(one: Any) -> None:
        if on_epoch is not None:
            on_epoch(one.epoch + 1, one.epochs, figures_of(one.metrics))

    model.add_callback("on_fit_epoch_end", epoch)
    model.add_callback("on_model_save", lambda one: keep(one.last))
    watch = StepWatch(on_step)
    for event, call in watch.callbacks().items():
        model.add_callback(event, call)
    # For several GPUs it starts processes that import their trainer by name, and none of them calls back.
    alone = "," not in str(arguments["device"])
    # It draws its bars on stdout, which is for data.
    with offline(), Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        model.train(watch.trainer() if alone else None, data=str(run_dir / "pictures" / "data.yaml"), **options)
    return model.model, figures_of(model.trainer.metrics)


def refuse_changes(begun: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Refuse settings that a resumed trainer would pass over: it keeps those that it was begun with.

    Args:
        begun: The trainer's arguments in its checkpoint.
        arguments: Those that it is to be resumed with.

    Raises:
        UsageError: E_RESUME, one differs; the sentence names it and both values.
    """
    for name, setting in KEPT_SETTINGS.items():
        if begun.get(name) != arguments[name]:
            raise UsageError(
                f"the run was begun with {setting}={begun.get(name)}, and its trainer keeps to it; leave "
                f"{setting}={arguments[name]} out, or start a new run",
                "E_RESUME",
            )


def standing(run_dir: Path) -> Mapping[str, Any] | None:
    """The checkpoint that a run stands at; None for one that has none yet.

    A file that was being written when the run was killed is replaced by the copy that was kept of the one before.

    Raises:
        UsageError: The checkpoint lies outside of the run's folder.
    """
    weights = run_dir / "ultralytics" / "weights"
    last, best, kept = weights / "last.pt", weights / "best.pt", weights / KEPT
    for path in (last, best, kept):
        if not path.resolve().is_relative_to(run_dir.resolve()):
            raise UsageError(
                f"{path.name} of the run {run_dir.name} lies elsewhere; resume a run that is whole", "E_RESUME"
            )
    read = opened(last)
    if read is None and (read := opened(kept)) is not None:
        shutil.copyfile(kept, last)
    if read is not None and opened(best) is None:
        shutil.copyfile(last, best)
    return read


def keep(last: Path) -> None:
    """Copy a checkpoint that is whole: the trainer writes over it, and may be killed while it does."""
    with last.open("rb") as file:
        write_whole(last.with_name(KEPT), lambda copy: shutil.copyfileobj(file, copy))


def opened(path: Path) -> Mapping[str, Any] | None:
    """A checkpoint of Ultralytics', read without running what it may hold; None for a file that is no whole one."""
    if not path.is_file():
        return None
    quiet_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        read: Mapping[str, Any] = torch_safe_load(path, safe_only=True)[0]  # type: ignore[no-untyped-call]  # no types
    except Exception:
        # Whatever a half-written archive gives: it is not whole.
        return None
    return read


def figures_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The mAP figures among the trainer's metrics."""
    return {name.split("/")[-1]: round(float(value), 4) for name, value in metrics.items() if "mAP" in name}
