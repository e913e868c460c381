"""The end of every training: a bundle that is written whole, with a fusion that was fitted for it where it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cascade.bundle import Bundle, load, save, stage_classes
from cascade.core.errors import CascadeError
from cascade.training.distributed import world
from cascade.training.fusion import train_fusion

Say = Callable[[str], None]
"""Takes a sentence for a person."""


def finish(
    bundle: Bundle,
    run: Path,
    validation: Sequence[Path],
    dataset: str | None = None,
    fusion: bool = True,
    say: Say = lambda _: None,
    assume_negative: bool = False,
) -> Bundle:
    """Write a trained bundle as `RUN/bundle`, with its fusion fitted on the validation exams.

    Args:
        bundle: With the stage that was trained.
        run: The run folder.
        validation: Exams of patients that no network learned from.
        dataset: Their layout; found by looking by default.
        fusion: Whether to fit.
        say: Called with why nothing was fitted.
        assume_negative: Plain scans among the exams show no embolism; they are left out otherwise.

    Returns:
        The bundle as saved.
    """
    here, folder = world(), run / "bundle"
    if here.is_main:
        why = obstacle(bundle, validation, fusion)
        if not why:
            try:
                # One write, after the fit: a run that is stopped before has not ended, and fits again.
                train_fusion(validation, bundle, folder, dataset=dataset, assume_negative=assume_negative)
            except CascadeError as error:
                why = error.text
        if why:
            save(bundle, folder)
            say(f"no fusion was fitted: {why}")
    here.wait()
    return load(folder)


def obstacle(bundle: Bundle, validation: Sequence[Path], fusion: bool) -> str:
    """Why a fusion is not fitted, or nothing."""
    missing = [name for name, stage in stage_classes().items() if name not in bundle.names and not stage.optional]
    if not fusion:
        return "fusion is switched off"
    if not validation:
        return "there are no exams to fit on; give --validation FOLDER"
    if missing:
        return f"the bundle lacks {', '.join(missing)}; give one that has them with --bundle"
    return ""
