"""What a training shows of itself: curves of its table, and the pictures of each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from cascade.core.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 100
"""Of probability, 0..1; the middle is where answers are told apart."""

_SHARES = ("accuracy", "ap", "auc", "balanced", "brier", "dice", "f1", "precision", "recall", "score")
_NOT_DRAWN = ("epoch", "step", "minutes", "not_finite", "prevalence", "all_yes")

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network is worth.

    Attributes:
        figures: By name; "score" (higher is better) chooses the best network.
        answers: How often each probability was given, by question: `[truly no or yes, bin]`.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    answers: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def tally(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """How often each probability is given, `[question, truly no or yes, bin]`, on the tensors' device.

    Args:
        probability: `[n, question, ...]`, 0..1.
        target: The same shape; yes from 0.5 on, NaN is not counted.
    """
    questions = probability.shape[1]
    bins = (probability.float() * BINS).long().clamp(0, BINS - 1)
    of_question = torch.arange(questions, device=bins.device).view(-1, *(1 for _ in bins.shape[2:]))
    place = (of_question * 2 + (target >= 0.5)) * BINS + bins
    known = (~torch.isnan(target)).double()
    counts = torch.bincount(place.flatten(), known.flatten(), minlength=questions * 2 * BINS)
    return counts.long().view(questions, 2, BINS)


def confusion(answers: NDArray[np.int64]) -> NDArray[np.int64]:
    """`[truly no or yes, told no or yes]` at a probability of 0.5, from `[truly no or yes, bin]`."""
    return np.stack([answers[:, : BINS // 2].sum(axis=1), answers[:, BINS // 2 :].sum(axis=1)], axis=1)


def rates(answers: NDArray[np.int64]) -> dict[str, float]:
    """What answers `[truly no or yes, bin]` are worth at a probability of 0.5; 0 where there is nothing to count.

    F1 says little by itself: beside it stand the share of what is there (prevalence), and the F1 that "yes" to
    everything would have.
    """
    (true_no, false_yes), (false_no, true_yes) = confusion(answers).astype(float).tolist()
    there, count = true_yes + false_no, true_no + false_yes + false_no + true_yes
    prevalence = there / max(count, 1.0)
    return {
        "accuracy": (true_no + true_yes) / max(count, 1.0),
        "precision": true_yes / max(true_yes + false_yes, 1.0),
        "recall": true_yes / max(there, 1.0),
        "f1": 2 * true_yes / max(2 * true_yes + false_yes + false_no, 1.0),
        "prevalence": prevalence,
        "f1_all_yes": 2 * prevalence / (1 + prevalence),
    }


def panels(names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of `results.csv` that are drawn into one plot, by its title: losses, and the shares of a question."""
    found: dict[str, list[str]] = {}
    for name in names:
        *question, kind = name.rsplit("_", 1)
        if kind == "loss":
            found.setdefault("loss", []).append(name)
        elif kind in _SHARES:
            found.setdefault(question[0] if question else "all", []).append(name)
        elif name not in _NOT_DRAWN and not name.endswith(tuple(f"_{one}" for one in _NOT_DRAWN)):
            found[name] = [name]
    return found


def draw_results(path: Path, epochs: Rows) -> None:
    """The columns of `results.csv` over the steps."""
    drawn = panels(list(epochs[0]))
    columns = min(len(drawn), 4)
    figure, axes = figure_of(math.ceil(len(drawn) / columns), columns)
    for (title, names), axis in zip(drawn.items(), axes, strict=False):
        for name in names:
            axis.plot([row["step"] for row in epochs], [row[name] for row in epochs], marker=".", label=name)
        axis.set_title(title)
        axis.set_xlabel("step")
        if len(names) > 1:
            axis.legend(fontsize=6)
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def draw_epoch(folder: Path, steps: Rows, epochs: Rows, evaluation: Evaluation) -> None:
    """The pictures of an epoch: gradients and rate, losses, and where there were questions, what was answered.

    Args:
        folder: Where they go.
        steps: The epoch's rows of `steps.csv`.
        epochs: The rows of `results.csv`, up to this epoch.
        evaluation: What the network is worth now.
    """
    number = int(epochs[-1]["epoch"])
    folder.mkdir(exist_ok=True)
    _draw_gradients(folder / f"gradient_lr_epoch_{number}.png", steps)
    _draw_losses(folder / f"loss_epoch_{number}.png", steps, epochs)
    if evaluation.answers:
        _draw_confusion(folder / f"confusion_matrix_epoch_{number}.png", evaluation)
        _draw_probabilities(folder / f"prob_distribution_epoch_{number}.png", evaluation)


def events(folder: Path, first: int) -> Any:
    """A writer of TensorBoard events from a step on; None without the package's extra "train", which brings it."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first)


def write_events(writer: Any, epoch: Mapping[str, float]) -> None:
    """An epoch's row as TensorBoard scalars."""
    for name, value in epoch.items():
        if name not in ("epoch", "step"):
            writer.add_scalar(name, value, int(epoch["step"]))
    writer.flush()


def _draw_gradients(path: Path, steps: Rows) -> None:
    figure, (norms, rates) = figure_of(1, 2)
    at = [row["step"] for row in steps]
    norms.plot(at, [row["gradient_norm"] for row in steps], linewidth=0.7, label="as they came")
    norms.plot(at, [row["clipped_norm"] for row in steps], linewidth=0.7, label="clipped")
    norms.set_title("L2 norm of the gradients")
    norms.set_yscale("log")
    norms.legend(loc="upper right")
    rates.plot(at, [row["learning_rate"] for row in steps])
    rates.set_title("learning rate")
    save_figure(figure, path)


def _draw_losses(path: Path, steps: Rows, epochs: Rows) -> None:
    figure, (each, mean) = figure_of(1, 2)
    each.plot([row["step"] for row in steps], [row["loss"] for row in steps], linewidth=0.7)
    each.set_title("loss of each step")
    for name, label in (("train_loss", "training"), ("loss", "validation")):
        if name in epochs[0]:
            mean.plot([row["step"] for row in epochs], [row[name] for row in epochs], marker=".", label=label)
    mean.set_title("mean loss")
    mean.legend(loc="upper right")
    save_figure(figure, path)


def _draw_confusion(path: Path, evaluation: Evaluation) -> None:
    figure, axes = figure_of(1, len(evaluation.answers))
    for (name, answers), axis in zip(evaluation.answers.items(), axes, strict=True):
        table = confusion(answers)
        axis.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.6)
        for truth, told in np.ndindex(2, 2):
            axis.text(told, truth, f"{table[truth, told]:,}", ha="center", va="center")
        axis.set_xticks([0, 1], ["told no", "told yes"])
        axis.set_yticks([0, 1], ["truly no", "truly yes"])
        axis.set_title(name)
    save_figure(figure, path)


def _draw_probabilities(path: Path, evaluation: Evaluation) -> None:
    figure, axes = figure_of(1, len(evaluation.answers))
    edges = np.linspace(0, 1, BINS + 1)
    for (name, answers), axis in zip(evaluation.answers.items(), axes, strict=True):
        for counts, label in zip(answers, ("truly no", "truly yes"), strict=True):
            axis.stairs(counts / max(counts.sum(), 1), edges, fill=True, alpha=0.5, label=label)
        axis.set_title(f"{name}: probabilities told")
        axis.legend(loc="upper right")
    save_figure(figure, path)


def figure_of(rows: int, columns: int) -> tuple[Figure, list[Any]]:
    """A figure and its axes, row by row."""
    # Not by pyplot, whose figures are one for all of the process.
    from matplotlib.figure import Figure

    width, height = 3.6 * columns, 2.8 * rows
    figure = Figure(figsize=(width, height))
    # Fixed margins (inches): a layout engine takes twice the time, and the training waits.
    figure.subplots_adjust(
        left=0.8 / width,
        right=1 - 0.2 / width,
        bottom=0.6 / height,
        top=1 - 0.4 / height,
        wspace=0.3,
        hspace=0.5,
    )
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def save_figure(figure: Figure, path: Path) -> None:
    """Write it as PNG, whole or not at all."""
    write_whole(path, lambda file: figure.savefig(file, dpi=80, format="png"))
