"""A loaded cascade is shared: by threads, by a process that forks, and by one that unpickles it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cascade import Cascade, Study
from cascade.core.findings import Findings
from cascade.runtime import RUNTIMES
from tests.strategies import chest

THREADS = 8
SPACING = (6.0, 6.0, 6.0)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PE_CASCADE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def study(number: int) -> Study:
    """A chest of its own: where its clot lies, how bright it is, and the noise."""
    side = 45.0 if number % 2 else -45.0
    clot = (float(number % 7 * 8 - 24), 0.0, side, 9.0)
    return chest([clot], spacing=SPACING, contrast_hu=250.0 + 3 * number, seed=number)[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("each", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_threads_that_share_a_cascade_get_each_their_own_answer(runtime: str, each: int, bundle: Path) -> None:
    cascade = Cascade.load(bundle, device="cpu", runtime=runtime)
    studies = [[study(thread * each + k) for k in range(each)] for thread in range(THREADS)]

    def answers(some: list[Study]) -> list[Findings]:
        return [cascade(one) for one in some]

    # Threads come first: what is made at the first use is made by several at once.
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(answers, studies))
    alone = [answers(some) for some in studies]
    assert together == alone
    maps = {found.embolus.values.tobytes() for some in alone for found in some if found.embolus is not None}
    assert len(maps) == THREADS * each  # no two studies have one answer


FORKED = """
import multiprocessing, sys
import torch
torch.set_num_threads(4)
from cascade import Cascade
from tests.test_sharing import study

cascade = Cascade.load(sys.argv[1], device="cpu", runtime=sys.argv[2])
mine = cascade(study(0))

def answer(number):
    return cascade(study(number))

with multiprocessing.get_context("fork").Pool(2) as pool:
    first, second = pool.map_async(answer, range(2)).get(timeout=100)
assert first == mine
assert second == answer(1)
print("ANSWERED")
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_process_that_is_forked_after_a_run_answers(runtime: str, bundle: Path) -> None:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", FORKED, str(bundle), runtime]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=root, check=False)
    assert done.stdout == "ANSWERED\n", done.stderr[-2000:]


LOADED = """
import os, signal, sys
import torch
from cascade import Cascade
from tests.test_sharing import study

torch.set_num_threads(2)
if sys.argv[3] == "used":
    torch.randn(2000, 2000) @ torch.randn(2000, 2000)  # the program's own use, before it loads a cascade
cascade = Cascade.load(sys.argv[1], device="cpu", runtime=sys.argv[2])
child = os.fork()
if child == 0:
    signal.alarm(100)
    cascade(study(0))
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("ANSWERED")
"""


@pytest.mark.parametrize("before", ["not used", "used"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_process_that_is_forked_before_the_first_run_answers(runtime: str, before: str, bundle: Path) -> None:
    root, environment = str(Path(__file__).parents[1]), {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", LOADED, str(bundle), runtime, before]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=root, check=False, env=environment)
    assert done.stdout == "ANSWERED\n", done.stderr[-2000:]


ENDS = """
import os, signal, sys
from cascade import Cascade
from tests.test_sharing import study

cascade = Cascade.load(sys.argv[1], device="cpu", runtime=sys.argv[2])
cascade(study(0))
for works in (False, True):
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        if works:
            cascade(study(1))
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7, works
print("ENDED")
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_forked_process_comes_to_its_end(runtime: str, bundle: Path) -> None:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", ENDS, str(bundle), runtime]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=root, check=False)
    assert done.stdout == "ENDED\n", done.stderr[-2000:]


def _answer(shared: Cascade, number: int) -> Findings:
    return shared(study(number))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_pickled_cascade_answers_the_same(runtime: str, bundle: Path) -> None:
    cascade = Cascade.load(bundle, device="cpu", runtime=runtime).without("siamese")
    again = pickle.loads(pickle.dumps(cascade))
    assert again.names == cascade.names
    assert again(study(0)) == cascade(study(0))


def test_a_process_that_is_spawned_takes_a_cascade(bundle: Path) -> None:
    cascade = Cascade.load(bundle, device="cpu", runtime="torch")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.starmap_async(_answer, [(cascade, 0)]).get(timeout=200)
    assert found == cascade(study(0))
    assert found.embolus is not None
    assert np.any(found.embolus.values)
