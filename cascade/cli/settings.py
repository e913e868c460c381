"""Settings of a command: defaults, a YAML file, `KEY=VALUE` and flags, merged once and checked once."""

from __future__ import annotations

import difflib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from tyro.conf import Positional, arg

from cascade.cli.options import existing
from cascade.cli.program import OK, Command, tell
from cascade.core.config import ConfigError, dotted, from_json, to_json
from cascade.core.errors import UsageError

T = TypeVar("T")

MOST = float(2**32)
"""Largest number of a setting, either way."""


@dataclass(frozen=True)
class Change:
    """A setting that was given.

    Attributes:
        key: Dotted, such as `plan.steps`.
        value: As YAML reads it.
        file: Name of the file that it stands in; empty for the command line.
    """

    key: str
    value: Any
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Configured(Command):
    """A command with settings. A flag goes before KEY=VALUE, and KEY=VALUE before the file.

    Attributes:
        overrides: Settings by dotted key, as in the examples; --print-config shows them all.
        config: Settings in a YAML file, such as --print-config gives.
        print_config: Show every setting with its meaning and value, as YAML, and do nothing else.
    """

    overrides: Positional[Annotated[tuple[str, ...], arg(metavar="[KEY=VALUE ...]")]] = ()
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    print_config: bool = False

    def flags(self) -> Mapping[str, Any]:
        """The settings that options of their own stand for, by dotted key; None for those that were not given."""
        return {}

    def changes(self) -> list[Change]:
        """All settings that were given, what goes before the others last.

        Raises:
            InputError: The file is not there.
            UsageError: What was given cannot be read.
        """
        file = from_file(self.config) if self.config else []
        flags = [Change(key, value) for key, value in self.flags().items() if value is not None]
        return [*file, *from_words(self.overrides), *flags]

    def settings(self, usual: T) -> T:
        """The usual settings with the changes that were given.

        Raises:
            InputError: The file is not there.
            UsageError: A key is unknown, or a value is wrong.
        """
        return merged(usual, self.changes())

    def show(self, settings: object) -> int:
        """Print settings as YAML, on stdout."""
        from cascade.cli.print_config import as_yaml

        tell(as_yaml(settings))
        return OK


def from_words(words: Iterable[str]) -> list[Change]:
    """Settings from `key=value` each; the value is read as YAML: `3e-4`, `[1, 2]`, `true`, `text`, `{a: 1}`.

    Raises:
        UsageError: One has not this form, or a key is given two values.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r} is no override; write key=value, such as plan.learning_rate=3e-4")
        value = _read(key, text)
        if key in given and given[key] != value:
            raise UsageError(f"{key} is given twice, as {given[key]} and as {value}; give it once")
        given[key] = value
    return [Change(key, value) for key, value in given.items()]


def _read(key: str, text: str) -> Any:
    """A value as YAML, with OmegaConf's grammar for numbers."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        read: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    except (ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"the value of {key} cannot be read: {' '.join(str(error).split())}") from error
    value = read["value"]
    if isinstance(value, Mapping) and any(":" in str(name) for name in value):
        raise UsageError(f"the value of {key} lacks a space after a colon: write {{name: 1}}, not {{name:1}}")
    return value


def from_file(path: Path) -> list[Change]:
    """Settings from a YAML file, nested (`plan: {steps: 100}`) or dotted (`plan.steps: 100`).

    Raises:
        InputError: It is not there.
        UsageError: It is no YAML, or no mapping.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    remedy = f"{path.name} holds no settings; write lines such as plan.learning_rate: 3e-4"
    try:
        text = existing(path, "a YAML file").read_text(encoding="utf-8")
        read = OmegaConf.load(io.StringIO(text)) if text.strip() else OmegaConf.create()
    except (YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise UsageError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    except (OSError, OmegaConfBaseException) as error:
        raise UsageError(remedy) from error
    if not isinstance(read, DictConfig):
        raise UsageError(remedy)
    values: Any = OmegaConf.to_container(read)
    return [Change(str(key), value, path.name) for key, value in values.items()]


def merged(usual: T, changes: Iterable[Change]) -> T:
    """Settings with some values replaced, later changes over earlier ones; checked once, when all are made.

    A mapping as a value goes into the fields of a dataclass, and replaces a plain mapping.

    Args:
        usual: A frozen dataclass of values and other such dataclasses.
        changes: To its fields.

    Raises:
        UsageError: A key is unknown (the nearest is named), a value has the wrong type, or the dataclass itself refuses
            it; where it stands in a file, the sentence begins with the file's name.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    tree = OmegaConf.create(to_json(usual))
    files: dict[str, str] = {}
    for change in changes:
        for key, value in _single(usual, change.key, change.value):
            files.pop(key, None)
            files[key] = change.file
            refuse_beyond(key, value, change.file)
            try:
                OmegaConf.update(tree, key, value, merge=False)
            except (OmegaConfBaseException, ValueError, LookupError) as error:
                text = f"{key} cannot be set to {value!r}: {' '.join(str(error).split())}"
                raise UsageError(_in_file(change.file, text)) from error
    try:
        return from_json(type(usual), OmegaConf.to_container(tree))
    except ConfigError as error:
        place = dotted(error.place)
        key = next((one for one in reversed(files) if _is_within(one, place) or _is_within(place, one)), place)
        text = str(error)
        if error.is_unknown:
            text = f"unknown setting {key!r}; {nearest_setting(key, keys_of(usual))}"
        elif "must be an object" in text:
            text += f"; write {place}.NAME=VALUE"
        raise UsageError(_in_file(files.get(key, ""), text)) from error
    except UsageError as error:
        file = next(
            (file for key, file in files.items() if file and re.search(rf"{re.escape(key)}\b(?!\.)", error.text)), ""
        )
        raise UsageError(_in_file(file, error.text), error.code) from error


def refuse_beyond(key: str, value: Any, file: str) -> None:
    """Refuse a number that no setting can be: no count, length or seed is as large.

    Raises:
        UsageError: The value is one, or holds one.
    """
    for number in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]:
        if isinstance(number, int | float) and MOST < abs(number) < math.inf:
            raise UsageError(_in_file(file, f"{key} is {number:g}; numbers of settings go to {MOST:g}"))


def _single(usual: Any, key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The single settings that a value stands for."""
    inner = usual
    for name in key.split("."):
        inner = getattr(inner, name, None) if is_dataclass(inner) else None
    if is_dataclass(inner) and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _single(usual, f"{key}.{name}", item)
    else:
        yield key, value


def _is_within(key: str, outer: str) -> bool:
    return key == outer or key.startswith((f"{outer}.", f"{outer}["))


def _in_file(file: str, text: str) -> str:
    return f"{file}: {text}" if file else text


def keys_of(settings: Any, outer: str = "") -> list[str]:
    """All dotted keys of a dataclass of settings, and those of the groups among them."""
    keys = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        keys.append(outer + field.name)
        keys += keys_of(value, f"{outer}{field.name}.") if is_dataclass(value) else []
    return keys


def nearest_setting(key: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown key: the nearest by its whole path, or by its last name alone."""
    by_name = {one.rpartition(".")[2]: one for one in reversed(known)}
    found = difflib.get_close_matches(key, known, 1, 0.75)
    found = found or [by_name[one] for one in difflib.get_close_matches(key.rpartition(".")[2], by_name, 1, 0.75)]
    found = found or difflib.get_close_matches(key, known, 1)
    return f"did you mean {found[0]!r}?" if found else "--print-config shows all there are"
