from __future__ import annotations

import pickle

import pytest

from cascade.core.errors import BundleError, CascadeError, InputError, UsageError
from cascade.core.files import OutputError
from cascade.simulation import SimulationError


@pytest.mark.parametrize(
    "error",
    [
        UsageError("a flag is wrong"),
        BundleError("a file is missing"),
        InputError("E_TRUNCATED", "it ends early"),
        OutputError("E_OUTPUT", "the disk is full"),
        SimulationError("no lungs"),
    ],
)
def test_an_error_comes_back_from_another_process_as_it_was(error: CascadeError):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (back.code, back.text, str(back), back.exit_code) == (error.code, error.text, str(error), error.exit_code)
