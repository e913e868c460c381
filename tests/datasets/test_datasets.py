from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cascade.core.findings import Findings
from cascade.core.grid import Grid
from cascade.core.study import Study
from cascade.datasets import open_cases
from cascade.writing import save, write_nifti


def test_a_real_study_painted_onto_is_a_hybrid_of_its_own_patient(tmp_path: Path):
    grid = Grid.simple((24, 64, 64), (2.5, 5.0, 5.0))
    for name in ("seed-00001", "seed-00002", "seed-00003"):
        write_nifti(Study(np.full(grid.shape, -1000, np.int16), grid), tmp_path / name / "ct.nii.gz")
        save(Findings(grid), tmp_path / name / "truth")
    with (tmp_path / "index.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([("study", "anatomy"), ("seed-00001", "onto-patient-7"), ("seed-00002", "cadpe_001")])
        table.writerow(("seed-00003", "procedural-3"))
    told = [(case.patient, case.kind) for case in open_cases(tmp_path)]
    assert told == [("patient-7", "hybrid"), ("cadpe_001", "simulated"), ("procedural-3", "procedural")]
