from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cascade.training.curves import precision_recall, reliability, roc
from cascade.training.loop import fit
from cascade.training.losses import bce
from cascade.training.monitors import BINS, Evaluation, confusion, panels, rates, tally
from cascade.training.plan import Plan
from cascade.training.run import Run
from tests.training.test_loop import Squares, rows

NAN = float("nan")


def test_a_tally_counts_what_is_known_by_question_truth_and_probability() -> None:
    told = torch.tensor([[0.0, 0.99], [0.51, 1.0], [0.49, 0.2]])
    true = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, NAN]])
    counts = tally(told, true).numpy()
    assert counts.shape == (2, 2, BINS)
    assert [confusion(one).tolist() for one in counts] == [[[1, 0], [1, 1]], [[0, 0], [0, 2]]]


def test_rates_are_those_of_the_field_and_f1_stands_beside_that_of_yes_to_everything() -> None:
    counts = np.zeros((2, BINS), np.int64)
    counts[0, [0, -1]] = 90, 2
    counts[1, [0, -1]] = 4, 6
    found = {"accuracy": 96 / 102, "precision": 6 / 8, "recall": 6 / 10, "f1": 12 / 18}
    assert rates(counts) == pytest.approx({**found, "prevalence": 10 / 102, "f1_all_yes": 20 / 112})


def test_a_useless_network_has_figures_too() -> None:
    assert set(rates(np.zeros((2, BINS), np.int64)).values()) == {0.0}


def test_curves_are_those_of_the_answers() -> None:
    counts = np.zeros((2, BINS), np.int64)
    counts[0, [0, 60]] = 6, 2
    counts[1, [60, 99]] = 1, 3
    false_positives, found = roc(counts)
    assert float(np.trapezoid(found, false_positives)) == pytest.approx(1 - 0.25 * 0.25 / 2)
    recall, precision = precision_recall(counts)
    assert (recall[-1], precision[-1]) == (1.0, 4 / 12)
    assert precision[np.searchsorted(recall, 0.75)] == 1.0
    told, so, count = reliability(counts)
    assert told == pytest.approx([0.005, 0.605, 0.995])
    assert so == pytest.approx([0, 1 / 3, 1])
    assert count.tolist() == [6, 3, 3]


def test_losses_and_the_shares_of_a_question_are_drawn_together() -> None:
    names = [
        "epoch",
        "step",
        "train_loss",
        "loss",
        "lung_auc",
        "lung_f1",
        "lung_prevalence",
        "lung_f1_all_yes",
        "f1",
        "false_ml",
    ]
    assert panels(names) == {
        "loss": ["train_loss", "loss"],
        "lung": ["lung_auc", "lung_f1"],
        "all": ["f1"],
        "false_ml": ["false_ml"],
    }


def test_a_run_of_two_epochs_shows_both(tmp_path: Path) -> None:
    def useless(_: nn.Module) -> Evaluation:
        answers = {"square": tally(torch.zeros(4, 1), torch.zeros(4, 1)).numpy()[0]}
        return Evaluation({"score": 0.0, "loss": 0.7}, answers)

    network = nn.Conv2d(1, 1, 3, padding=1)
    plan = Plan(steps=8, batch=2, evaluate_every=4, workers=0)
    fit(network, Squares(), bce, plan, Run(tmp_path / "run", {"plan": plan}), useless)
    names = ("gradient_lr", "loss", "confusion_matrix", "prob_distribution")
    expected = {f"{name}_epoch_{n}.png" for name in names for n in (1, 2)}
    expected |= {"roc.png", "precision_recall.png", "reliability.png"}
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} == expected
    assert len(list((tmp_path / "run").glob("events.out.tfevents.*"))) == 1
    table = rows(tmp_path / "run", "results.csv")
    assert [(row["epoch"], row["step"], row["not_finite"]) for row in table] == [("1", "4", "0"), ("2", "8", "0")]
    losses = [float(row["loss"]) for row in rows(tmp_path / "run")]
    assert [float(row["train_loss"]) for row in table] == pytest.approx([np.mean(losses[:4]), np.mean(losses[4:])])
