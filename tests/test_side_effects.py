"""Loading and running a cascade changes nothing outside of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cascade.runtime import RUNTIMES

SCRIPT = """
import json, logging, os, random, sys, warnings
import cv2, numpy, torch
import scipy.sparse, scipy.special, torch._dynamo  # each sets a warnings filter of its own when it is imported

def state():
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "numpy": numpy.get_printoptions(),
        "torch": vars(torch._tensor_str.PRINT_OPTS) | {
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cudnn": [torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark],
            "gradients": torch.is_grad_enabled(),
            "seed": torch.initial_seed(),
            "save": str(torch.save),
        },
        "opencv": cv2.getNumThreads(),
        "logging": [root.level, [str(handler) for handler in root.handlers], logging.root.manager.disable],
        "warnings": [str(one) for one in warnings.filters],
        "absent": [name for name, module in sys.modules.items() if module is None],
        "random": [str(random.getstate()), str(numpy.random.get_state()), torch.get_rng_state().tolist()],
        "hooks": [str(sys.excepthook), str(sys.stdout), str(sys.stderr)],
    }

before = json.dumps(state(), default=str)
from cascade import Cascade
from tests.strategies import chest
cascade = Cascade.load(sys.argv[1], device="cpu", runtime=sys.argv[2])
loaded = json.dumps(state(), default=str)
cascade(chest(spacing=(3.0, 4.0, 4.0))[0])
print("ANSWER" + json.dumps([json.loads(text) for text in (before, loaded, json.dumps(state(), default=str))]))
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_loading_and_running_change_nothing_outside(runtime: str, bundle: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PE_CASCADE_CACHE": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "default", "-c", SCRIPT, str(bundle), runtime]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    before, loaded, run = json.loads(done.stdout.removeprefix("ANSWER"))
    for name, value in before.items():
        assert loaded[name] == value, name
        assert run[name] == value, name


def test_a_home_folder_that_nobody_can_write_to_is_no_noise(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.touch()  # below a file no folder can be made, whoever one is
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "PE_CASCADE_CACHE")}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
    script = "import sys; from cascade import Cascade; Cascade.load(sys.argv[1], device='cpu', runtime='openvino')"
    command = [sys.executable, "-c", f"{script}(__import__('tests.strategies').strategies.chest()[0])", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")
