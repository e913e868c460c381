"""How right: the cascade, and each member of its ensemble alone, over studies with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cascade.bench.frozen import FrozenSet
from cascade.core.findings import Findings
from cascade.core.study import Study
from cascade.fusion.fit import is_judged
from cascade.metrics.froc import RATES, SIZES, Marks, marks, sensitivity_with_interval
from cascade.metrics.score import Score, score
from cascade.metrics.summary import Summary, summarise
from cascade.pipeline import Cascade
from segmenters.embolus import EmbolusEnsemble

ENSEMBLE = "cascade"
"""The name of the whole cascade among its variants."""

Opened = tuple[str, Study, Findings]


@dataclass(frozen=True)
class Row:
    """One study, answered by the cascade or by a variant of it."""

    study: str
    variant: str
    score: Score
    marks: Marks | None = None

    def as_dict(self) -> dict[str, Any]:
        """Flat and JSON-ready, for a table."""
        return {"study": self.study, "variant": self.variant, **asdict(self.score)}


def stored(
    roots: Iterable[Path], left_out: Callable[[str], None] = lambda _: None, assume_negative: bool = False
) -> Iterator[Opened]:
    """Studies with truth that lie in folders of any layout that training reads, one at a time.

    Args:
        roots: The folders.
        left_out: Called with the name of a study whose truth does not say whether there is an embolism.
        assume_negative: Plain scans show no embolism; they are left out otherwise.
    """
    from cascade.datasets import open_cases

    for root in roots:
        for case in open_cases(root, assume_negative=assume_negative):
            if is_judged(case.truth):
                yield case.name, case.study, case.truth
            else:
                left_out(case.name)


def frozen(chosen: FrozenSet, anatomies: Path) -> Iterator[Opened]:
    """The studies of a frozen set, one at a time; `anatomies` holds its label maps and `split.csv`."""
    for case in chosen.cases(anatomies):
        yield case.name, case.study, case.truth


def simulated(seeds: Iterable[int], anatomies: list[Path]) -> Iterator[Opened]:
    """Studies simulated from seeds, one at a time; the anatomies take turns, and without any it is procedural."""
    from cascade.simulation import Simulation, load, simulate

    for seed in seeds:
        anatomy = anatomies[seed % len(anatomies)] if anatomies else None
        made = simulate(Simulation(), seed, None if anatomy is None else load(anatomy))
        yield f"seed-{seed}", made.study, made.truth


def measure(cascade: Cascade, cases: Iterable[Opened], members: bool = False) -> Iterator[list[Row]]:
    """Answer each study and compare with its truth; the rows of one study at a time.

    Args:
        cascade: What answers.
        cases: Studies with their truth.
        members: Also the answer with each network of the embolus ensemble alone.
    """
    variants: dict[str, Cascade] = {ENSEMBLE: cascade, **(alone(cascade) if members else {})}
    for name, study, truth in cases:
        answers = ((variant, answer(study)) for variant, answer in variants.items())
        yield [Row(name, variant, score(answer, truth), marks(answer, truth)) for variant, answer in answers]


def alone(cascade: Cascade) -> dict[str, Cascade]:
    """The cascade once for each network of the embolus stage, with only that network in it."""
    variants: dict[str, Cascade] = {}
    for stage in cascade.learned:
        if isinstance(stage, EmbolusEnsemble) and len(stage.nets) > 1:
            for name, net in stage.nets.items():
                member = EmbolusEnsemble({name: net}, stage.config)
                stages = [member if one is stage else one for one in cascade.learned]
                variants[name] = Cascade(stages, cascade.bundle, cascade.choice, cascade.operating_point)
    return variants


def summaries(rows: Iterable[Row]) -> dict[str, Summary]:
    """The figures of each variant, in the order they came."""
    by_variant: dict[str, list[Score]] = {}
    for row in rows:
        by_variant.setdefault(row.variant, []).append(row.score)
    return {variant: summarise(scores) for variant, scores in by_variant.items()}


def froc(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Share of clots found at so many false lesions a study, of each variant, by size of the clots."""
    by_variant: dict[str, list[Marks]] = {}
    for row in rows:
        if row.marks is not None:
            by_variant.setdefault(row.variant, []).append(row.marks)
    table = []
    for variant, studies in by_variant.items():
        for name, least, under in SIZES:
            clots = sum(int(((some.clots_mm3 >= least) & (some.clots_mm3 < under)).sum()) for some in studies)
            if clots:
                figures = {
                    f"at {rate:g}": str(sensitivity_with_interval(studies, rate, least, under)) for rate in RATES
                }
                table.append({"variant": variant, "size": name, "clots": clots, **figures})
    return table
