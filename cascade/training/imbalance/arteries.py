"""Arteries of cases whose truth does not say where they are: as a bundle's own networks find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cascade.bundle import Bundle, stage_classes
from cascade.core.findings import Field
from cascade.datasets.case import Case
from cascade.runtime import choose
from cascade.training.scans import answer_of


def found_arteries(cases: Sequence[Case], base: Bundle, say: Callable[[str], None]) -> Mapping[Case, Field]:
    """The arteries of the cases that do not know theirs; they say where to paint, and are never a target.

    Args:
        cases: To learn from.
        base: The bundle that the training begins with; its last stage of voxels is asked.
        say: Called with what a person should know: that networks were asked, or that there are none to ask.
    """
    blind = [case for case in cases if case.truth.arteries is None]
    if not blind:
        return {}
    count = f"{len(blind)} of {len(cases)} cases do not say where arteries are"
    voxels = [name for name in base.names if stage_classes()[name].scores == "voxels"]
    if not voxels:
        say(f"imbalance.replicate: {count}, so no embolus is copied into them; --bundle names one that finds arteries")
        return {}
    choice = choose()
    (stage,) = base.open(choice.runtime, choice.device, only=voxels[-1:])
    answers = {case: answer_of(stage, case).arteries for case in blind}
    say(f"imbalance.replicate: {count}; emboli are copied to where the bundle's stage {voxels[-1]} finds some")
    return {case: arteries for case, arteries in answers.items() if arteries is not None}
