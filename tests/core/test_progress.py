from __future__ import annotations

import time

from cascade.core.progress import Timings


def test_the_time_before_a_call_counts_for_its_name() -> None:
    timings = Timings()
    time.sleep(0.02)
    timings("reading", 1, 1)
    timings("embolus", 1, 2)
    time.sleep(0.03)
    timings("embolus", 2, 2)
    assert list(timings.seconds) == ["reading", "embolus"]
    assert 0.02 <= timings.seconds["reading"] < 2
    assert 0.03 <= timings.seconds["embolus"] < 2


def test_every_call_is_passed_on() -> None:
    calls: list[tuple[str, int, int]] = []
    timings = Timings(lambda name, done, total: calls.append((name, done, total)))
    timings("reading", 0, 1)
    timings("reading", 1, 1)
    assert calls == [("reading", 0, 1), ("reading", 1, 1)]
