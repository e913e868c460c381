from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cascade.simulation import Anatomy, Simulated, simulate_many
from tests.simulation.conftest import SMALL


def _summary(seed: int, made: Simulated) -> tuple[int, str]:
    return seed, made.study.id


def test_studies_come_in_the_order_of_seeds_whatever_the_workers(anatomy: Anatomy, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    make: Any = nib.Nifti1Image
    nib.save(make(anatomy.labels.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    alone = list(simulate_many(SMALL, [5, 4], _summary, anatomies=[path]))
    together = list(simulate_many(SMALL, [5, 4], _summary, anatomies=[path], workers=2))
    assert [seed for seed, _ in alone] == [5, 4]
    assert alone == together
