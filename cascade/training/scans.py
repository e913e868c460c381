"""What a segmenter's answer to a whole scan is worth: the figures that the field states, scan by scan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cascade.core.findings import Findings
from cascade.core.stage import Learned, Net
from cascade.datasets.case import Case
from cascade.metrics.overlap import hd95
from cascade.metrics.score import score
from cascade.training.feed import device_of
from segmenters.embolus import EmbolusConfig, EmbolusEnsemble

Row = dict[str, float | str]


def answers_of(network: nn.Module, config: EmbolusConfig, cases: Iterable[Case]) -> Iterable[tuple[Case, Findings]]:
    """The stage's answer to each case, with one network in evaluation mode, where the network is."""
    stage = EmbolusEnsemble({"net": net_of(network)}, config)
    for case in cases:
        yield case, answer_of(stage, case)


def net_of(network: nn.Module) -> Net:
    """A network in evaluation mode as a stage calls it, where the network is."""
    device = device_of(network)

    def net(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        return logits

    return net


def answer_of(stage: Learned, case: Case) -> Findings:
    """What a stage says of a case, in the lung region that the case knows."""
    return stage(case.study, Findings(case.study.grid, lungs=case.truth.lungs))


def row_of(case: Case, answer: Findings) -> Row:
    """One scan's figures; NaN where there is nothing to measure.

    `dice`, `iou`, `sensitivity` and `precision` of voxels, `lesion_f1` (clots and false positives as
    `cascade.metrics.score` counts them), `hd95_mm`, and volumes in ml.
    """
    found, true = answer.mask(), case.truth.mask()
    one = score(answer, case.truth)
    both = np.count_nonzero(found & true)
    return {
        "scan": case.name,
        "dice": math.nan if one.dice is None else one.dice,
        "iou": _share(both, np.count_nonzero(found | true)),
        "sensitivity": _share(both, np.count_nonzero(true)),
        "precision": _share(both, np.count_nonzero(found)),
        "lesion_f1": _share(2 * one.found, one.clots + one.found + one.false_positives),
        "hd95_mm": hd95(found, true, case.study.grid.spacing),
        "truth_ml": one.truth_mm3 / 1000,
        "answer_ml": one.answer_mm3 / 1000,
    }


def means(rows: Sequence[Row]) -> dict[str, float]:
    """The mean of each figure over the scans that have it; those that none has are left out."""
    found: dict[str, float] = {}
    for name in ("dice", "iou", "sensitivity", "precision", "lesion_f1", "hd95_mm"):
        values = [float(row[name]) for row in rows if math.isfinite(float(row[name]))]
        if values:
            found[f"scan_{name}"] = float(np.mean(values))
    return found


def _share(part: int | np.integer[Any], whole: int | np.integer[Any]) -> float:
    return float(part / whole) if whole else math.nan
