"""Drawing cases by their target ratio: the share of embolus in what is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascade.datasets.case import Case


def target_ratio(case: Case) -> float:
    """Embolus voxels of all voxels; 0 where the embolus is not known."""
    known = case.truth.embolus
    return 0.0 if known is None else float(np.count_nonzero(known.values >= 128) / case.study.hu.size)


def weights(cases: Sequence[Case], power: float) -> NDArray[np.float64]:
    """How often each case is drawn, against one without emboli, which has 1.

    Args:
        cases: A case with the mean ratio of those with emboli has 2 to the power.
        power: Over 0 favours a large ratio, under 0 a small one.
    """
    ratios = np.array([target_ratio(case) for case in cases])
    mean = ratios[ratios > 0].mean() if ratios.any() else 1.0
    found: NDArray[np.float64] = (1 + ratios / mean) ** power
    return found
