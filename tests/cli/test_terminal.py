from __future__ import annotations

from dataclasses import replace

from cascade.cli.terminal import summary
from cascade.core.findings import Exam, Findings, Lesion
from cascade.core.grid import Grid, Order
from cascade.core.study import Note


def lesion(number: int) -> Lesion:
    return Lesion(number, 50, 120.4, 0.9, 0.95, 0.8, (1.0, 2.0, 3.0), (10, 14), "left", place="segmental")


def findings(lesions: int, exam: Exam) -> Findings:
    found = tuple(lesion(n + 1) for n in range(lesions))
    return Findings(
        Grid.simple((20, 8, 8), (2, 1, 1)), lesions=found, exam=exam, warnings=(Note("W_THICK", "thick"),) * 2
    )


def test_a_summary_has_at_most_ten_lines_however_many_lesions_there_are():
    lines = summary("STUDY", findings(30, Exam("positive", 0.93, reason="two clots")))
    assert len(lines) <= 10
    assert any("and 26 more" in line for line in lines)


def test_a_summary_says_decision_probability_reason_and_each_warning_once():
    lines = summary("STUDY", findings(1, Exam("positive", 0.934, reason="one clot")))
    assert "  POSITIVE, probability 0.93: one clot" in lines
    assert any("left segmental, 120 mm3, slices 10 to 14" in line for line in lines)
    assert lines[-1] == "  warnings: W_THICK"


def test_an_abstention_has_no_probability():
    lines = summary("STUDY", findings(0, Exam("abstain", reason="W_NOT_CHEST: no lungs.")))
    assert "  ABSTAIN: W_NOT_CHEST: no lungs." in lines


def test_a_summary_counts_slices_as_the_tables_do():
    found = findings(1, Exam("positive", 0.9))
    grid = Grid(found.grid.shape, found.grid.affine, Order((0, 1, 2), (True, False, False)))
    assert any("slices 5 to 9," in line for line in summary("STUDY", replace(found, grid=grid)))
