from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from cascade.cli.main import main as cascade
from cascade.cli.print_config import as_yaml, meanings
from cascade.cli.program import Command
from cascade.cli.settings import Change, Configured, from_file, from_words, keys_of, merged
from cascade.cli.train.main import main as cascade_train
from cascade.cli.train.segmenter import Segmenter
from cascade.core.config import dotted
from cascade.core.errors import InputError, UsageError
from cascade.core.windows import Window
from cascade.simulation.config import SimulationSettings
from cascade.training.classifier import LungFilterTraining, SiameseTraining
from cascade.training.coarse_stage import CoarseTraining
from cascade.training.detector import LungDetectorTraining
from cascade.training.losses import SEGMENTATION, LossConfig
from cascade.training.plan import Plan
from cascade.training.segmenter import SegmenterTraining


@dataclass(frozen=True)
class Settings:
    """Of a command.

    Attributes:
        plan: How long.
        loss: From what.
        window: Seen through.
        arguments: Of a network.
        depth: In slices.
        quick: Whether
            in haste.
        start: Weights.
    """

    plan: Plan = field(default_factory=Plan)
    loss: LossConfig = SEGMENTATION
    window: Window = field(default_factory=lambda: Window(40, 400))
    arguments: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 3
    quick: bool = False
    start: Path | None = None


def changed(*changes: tuple[str, Any]) -> Settings:
    return merged(Settings(), [Change(key, value) for key, value in changes])


def from_text(folder: Path, text: str) -> Settings:
    (folder / "mine.yaml").write_text(text)
    return merged(Settings(), from_file(folder / "mine.yaml"))


def test_a_change_replaces_one_value_and_keeps_the_others() -> None:
    assert changed(("window.width", 350), ("depth", 4)) == Settings(window=Window(40, 350.0), depth=4)


def test_a_mapping_is_replaced_whole_and_a_dataclass_field_by_field() -> None:
    loss = changed(("loss.terms", {"focal": 2.0})).loss
    assert (dict(loss.terms), loss.outputs) == ({"focal": 2.0}, SEGMENTATION.outputs)
    assert changed(("loss.terms.bce", 0.0)).loss.terms == {"dice": 1.0, "bce": 0.0}
    assert changed(("plan", {"steps": 9})).plan == Plan(steps=9)
    assert changed(("arguments.width", 16), ("arguments.model", "x")).arguments == {"width": 16, "model": "x"}


def test_later_changes_go_over_earlier_ones() -> None:
    assert changed(("plan.steps", 1), ("plan", {"batch": 2, "steps": 3}), ("plan.batch", 4)).plan == Plan(3, 4)


def test_a_flag_goes_before_a_word_and_a_word_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("plan: {steps: 1, batch: 2, clip: 3.0, learning_rate: 3e-4}\nplan.seed: 4\n")
    command = Segmenter(config=tmp_path / "plan.yaml", overrides=("plan.batch=20", "plan.steps=10"), steps=100)
    plan = command.settings(SegmenterTraining()).plan
    assert (plan.steps, plan.batch, plan.clip, plan.learning_rate, plan.seed) == (100, 20, 3.0, 3e-4, 4)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("plan.stepps", 3, "unknown setting 'plan.stepps'; did you mean 'plan.steps'?"),
        ("stepps", 3, "unknown setting 'stepps'; did you mean 'plan.steps'?"),
        ("paln.steps", 3, "unknown setting 'paln.steps'; did you mean 'plan.steps'?"),
        ("paln", {"steps": 3}, "unknown setting 'paln'; did you mean 'plan'?"),
        ("window.widht", 350, "unknown setting 'window.widht'; did you mean 'window.width'?"),
        ("loss.tems.bce", 1, "unknown setting 'loss.tems.bce'; did you mean 'loss.terms'?"),
        ("xyz", 1, "unknown setting 'xyz'; --print-config shows all there are"),
        ("plan.steps", "many", "plan.steps must be int, got 'many'"),
        ("plan.steps", "3", "plan.steps must be int, got '3'"),
        ("plan.steps", 3.5, "plan.steps must be int, got 3.5"),
        ("plan.steps", True, "plan.steps must be int, got True"),
        ("plan.steps", None, "plan.steps must be int, got None"),
        ("plan.steps.more", 3, "plan.steps must be int, got {'more': 3}"),
        ("plan.learning_rate", "fast", "plan.learning_rate must be float, got 'fast'"),
        ("plan.learning_rate", False, "plan.learning_rate must be float, got False"),
        ("quick", 1, "quick must be bool, got 1"),
        ("quick", "yes", "quick must be bool, got 'yes'"),
        ("start", 3, "start must be str, got 3"),
        ("plan", 3, "plan must be an object, got 3; write plan.NAME=VALUE"),
        ("arguments", 3, "arguments must be an object, got 3; write arguments.NAME=VALUE"),
        ("plan.precision", "fp16", "plan.precision must be one of 'auto', 'bf16', 'fp32', got 'fp16'"),
        ("loss.terms.bce", "x", "loss.terms.bce must be float, got 'x'"),
        ("loss.outputs", [1, "x"], "loss.outputs[1] must be float, got 'x'"),
        ("loss.outputs.x", 1, "loss.outputs.x cannot be set to 1"),
        ("", 1, "unknown setting ''; --print-config shows all there are"),
    ],
)
def test_a_wrong_setting_is_answered_in_one_sentence(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^E_USAGE: {re.escape(sentence)}"):
        changed((key, value))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("plan.steps", 0, "E_PLAN: plan.steps is 0; it must be 1 or more"),
        ("plan.learning_rate", float("inf"), "E_PLAN: plan.learning_rate is inf; it must be a number over 0"),
        ("loss.terms", {"dise": 1.0}, "E_LOSS: loss.terms names 'dise'; did you mean 'dice'?"),
        ("loss.smooth", float("nan"), "E_LOSS: loss.smooth is nan; it must be a number from 0 on"),
    ],
)
def test_a_value_out_of_range_keeps_the_code_of_its_dataclass(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}"):
        changed((key, value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("plan: {stepps: 3}", "mine.yaml: unknown setting 'plan.stepps'; did you mean 'plan.steps'?"),
        ("paln.steps: 3", "mine.yaml: unknown setting 'paln.steps'; did you mean 'plan.steps'?"),
        ("plan: {batch: many}", "mine.yaml: plan.batch must be int, got 'many'"),
        ("plan.steps.more: 3", "mine.yaml: plan.steps must be int"),
        ("- 3", "mine.yaml holds no settings; write lines such as"),
        ("3", "mine.yaml holds no settings; write lines such as"),
        ("just words", "mine.yaml: unknown setting 'just words'"),
        ("a: [", "mine.yaml is no YAML: "),
        ("depth: 1\ndepth: 2", "mine.yaml is no YAML: .*duplicate key depth"),
        ("1: 2", "mine.yaml: unknown setting '1'"),
    ],
)
def test_a_wrong_file_is_answered_in_one_sentence_with_its_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^E_USAGE: {sentence}") as caught:
        from_text(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_value_out_of_range_in_a_file_names_the_file_and_keeps_its_code(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^E_PLAN: mine\.yaml: plan\.steps is 0; it must be 1 or more$"):
        from_text(tmp_path, "plan: {steps: 0}")


def test_what_the_command_line_says_wrongly_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("depth: 3")
    changes = [*from_file(tmp_path / "mine.yaml"), *from_words(["depth=x"])]
    with pytest.raises(UsageError, match=r"^E_USAGE: depth must be int, got 'x'$"):
        merged(Settings(), changes)


def test_a_file_of_nothing_changes_nothing(tmp_path: Path) -> None:
    assert from_text(tmp_path, "") == from_text(tmp_path, "# nothing\n") == Settings()


def test_a_folder_or_nothing_at_all_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no YAML"):
        from_file(tmp_path)
    with pytest.raises(InputError, match=r"absent\.yaml does not exist; give a YAML file"):
        from_file(tmp_path / "absent.yaml")


def test_words_are_read_as_yaml() -> None:
    words = ["a=3e-4", "b=[1, 2]", "c=true", "d=text", "e={x: 1}", "f=null", "g=0,1", "h=${x}"]
    values = [change.value for change in from_words(words)]
    assert values == [3e-4, [1, 2], True, "text", {"x": 1}, None, "0,1", "${x}"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan.steps"], "'plan.steps' is no override; write key=value"),
        (["loss.terms={dice:1}"], "loss.terms lacks a space after a colon"),
        (["loss.outputs=[1"], "the value of loss.outputs cannot be read: "),
        (["plan.steps=3", "plan.steps=4"], "plan.steps is given twice, as 3 and as 4; give it once"),
    ],
)
def test_words_that_cannot_be_read_are_answered_in_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)) as caught:
        from_words(words)
    assert "\n" not in str(caught.value)


ALL = [
    SegmenterTraining(),
    CoarseTraining(),
    LungFilterTraining(),
    SiameseTraining(),
    LungDetectorTraining(),
    SimulationSettings(),
]


def groups(settings: Any) -> Iterator[Any]:
    yield settings
    for one in fields(settings):
        if is_dataclass(value := getattr(settings, one.name)):
            yield from groups(value)


def numbers(settings: Any, outer: str = "") -> Iterator[tuple[str, Any]]:
    for one in fields(settings):
        value = getattr(settings, one.name)
        if is_dataclass(value):
            yield from numbers(value, f"{outer}{one.name}.")
        elif isinstance(value, int | float | tuple) and not isinstance(value, bool) and value != ():
            yield f"{outer}{one.name}", value


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("settings", ALL, ids=lambda one: type(one).__name__)
def test_no_number_of_a_setting_may_be_infinite_or_none(settings: Any, bad: float) -> None:
    for key, value in numbers(settings):
        with pytest.raises(UsageError, match=re.escape(key.rpartition(".")[2])):
            merged(settings, [Change(key, [bad] * len(value) if isinstance(value, tuple) else bad)])


@pytest.mark.parametrize("settings", ALL, ids=lambda one: type(one).__name__)
def test_every_setting_is_shown_with_its_meaning_and_the_file_gives_the_same_back(
    settings: Any, tmp_path: Path
) -> None:
    for group in groups(settings):
        about = meanings(type(group))
        assert all(about.get(one.name) for one in fields(group)), type(group)
    text = as_yaml(settings)
    shown = [line.strip().partition(":")[0] for line in text.splitlines() if not line.strip().startswith("#")]
    assert shown == [key.rpartition(".")[2] for key in keys_of(settings)]
    (tmp_path / "all.yaml").write_text(text)
    assert merged(settings, from_file(tmp_path / "all.yaml")) == settings


def test_a_meaning_is_one_line_whatever_its_docstring_has(tmp_path: Path) -> None:
    assert "# Whether in haste.\nquick: false" in as_yaml(Settings())


@pytest.mark.parametrize(
    ("program", "arguments", "shown"),
    [
        (cascade_train, ["segmenter", "plan.steps=7"], "steps: 7"),
        (cascade_train, ["classifier", "--stage", "siamese"], "stage: siamese"),
        (cascade_train, ["detector", "--epochs", "3"], "epochs: 3"),
        (cascade, ["simulate", "simulation.noise_hu=[10,20]"], "noise_hu: [10.0, 20.0]"),
        (cascade, ["simulate", "--emboli", "3"], "emboli: [3, 3]"),
    ],
)
def test_print_config_shows_what_would_be_done_and_does_nothing(
    program: Any,
    arguments: list[str],
    shown: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program([*arguments, "--print-config"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert shown in lines
    assert not list(tmp_path.iterdir())


def test_help_says_where_all_settings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for program, command in ((cascade_train, "segmenter"), (cascade_train, "detector"), (cascade, "simulate")):
        assert program([command, "--help"]) == 0
        words = " ".join(re.findall(r"[\w-]+", capsys.readouterr().out))
        assert "--print-config Show every setting with its meaning and value" in words


def test_a_command_with_settings_is_a_command() -> None:
    assert issubclass(Configured, Command)
    assert dotted(("loss", "outputs", 1)) == "loss.outputs[1]"
