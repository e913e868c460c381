"""What a trained network says of samples that it did not learn from, as pictures to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascade.training.monitors import figure_of, save_figure


@dataclass(frozen=True, eq=False)
class Example:
    """One sample.

    Attributes:
        title: What it is, or what was asked of it, is true and was told.
        view: What the network saw, a channel of it: `[y, x]`, 0..1.
        truth: Share of each point that is so, `[y, x]`, 0..1; None where the answer is no map.
        answer: The probability of each point; likewise.
    """

    title: str
    view: NDArray[np.float32]
    truth: NDArray[np.float32] | None = None
    answer: NDArray[np.float32] | None = None


def draw_examples(folder: Path, examples: Iterable[Example]) -> None:
    """`NUMBER.png` each: the view, and beside it where there are maps, the truth and the answer upon it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(examples):
        maps = [one for one in (example.truth, example.answer) if one is not None]
        figure, axes = figure_of(1, 1 + len(maps))
        for axis, title, over in zip(axes, (example.title, "truth", "answer"), (None, *maps), strict=False):
            axis.imshow(example.view, cmap="gray", vmin=0, vmax=1)
            if over is not None:
                axis.imshow(np.ma.masked_less(over, 0.05), cmap="autumn", vmin=0, vmax=1, alpha=0.6)
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
        save_figure(figure, folder / f"{number}.png")
