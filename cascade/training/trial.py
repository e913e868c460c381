"""Whether a network takes what its stage cuts and answers what it is asked: tried on zeros, before data are read."""

from __future__ import annotations

import torch
from torch import nn

from cascade.core.errors import UsageError


def refuse_misfit(network: nn.Module, name: str, sample: tuple[int, ...], answers: int) -> None:
    """Refuse a network that cannot learn the stage's samples. No random number is drawn.

    Args:
        network: As built.
        name: Its name, for the message.
        sample: Channels, rows and columns of what it will see, or channels, planes, rows and columns.
        answers: Logits, or maps of them, that are learned.

    Raises:
        UsageError: It does not take the sample, or answers another number of questions.
    """
    trained = network.training
    try:
        with torch.no_grad():
            answer = network.eval()(torch.zeros(1, *sample))
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        shape = " x ".join(map(str, sample))
        sides = "channels, rows, columns" if len(sample) == 3 else "channels, planes, rows, columns"
        text = f"network {name!r} does not take samples of {shape} ({sides})"
        raise UsageError(
            f"{text}: {error}; change its arguments, or the size that the stage cuts", "E_NETWORK_ARGUMENTS"
        ) from error
    finally:
        network.train(trained)
    if answer.shape[1] != answers:
        raise UsageError(
            f"network {name!r} answers {answer.shape[1]} questions where the stage asks {answers}; "
            f"set arguments.outputs={answers} where it takes that, or name another --net",
            "E_NETWORK_ARGUMENTS",
        )
