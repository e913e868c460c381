"""A command line that cannot be parsed, in one sentence: tyro says it in a box of several lines."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from itertools import dropwhile, takewhile
from textwrap import dedent

import tyro

from cascade.core.registry import nearest

_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_FRAME = "─│╭╮╰╯"
_REQUIRED = "Required options"
_PLAINER = (
    (r"Error parsing (.+?): invalid literal for int\(\) with base 10: (.*)", r"\1 takes a whole number, got \2"),
    (r"Error parsing (.+?): could not convert string to float: (.*)", r"\1 takes a number, got \2"),
    (r"Error parsing (.+?): (.*)", r"\1: \2"),
    (r"invalid choice (.+) for argument '(.+)'\. Expected one of \((.*)\) ?\.", r"\2 cannot be \1; choose from \3"),
    (r"Missing value for argument '(.+)'\. Expected .*", r"\1 needs a value"),
    (r"Unrecognized options: (.*)", r"unexpected \1; nothing takes it there"),
)
"""What tyro says, and the same as we say it."""


def sentence(program: str, commands: Mapping[str, type], arguments: Sequence[str], box: str) -> str:
    """What is wrong with a command line, and where to read how it is meant.

    Args:
        program: Its name.
        commands: Its commands by name.
        arguments: What was given.
        box: What tyro said of it.
    """
    if not arguments or arguments[0].startswith("-"):
        return _with_help(f"no command is named; known: {', '.join(commands)}", program)
    name, *rest = arguments
    if name not in commands:
        return _with_help(f"unknown command {name!r}; {nearest(name, commands)}", program)
    return _with_help(_misspelt(commands[name], rest) or _plainly(name, box), f"{program} {name}")


def _with_help(text: str, call: str) -> str:
    return f"{text}{'' if text.endswith('?') else ';'} see `{call} --help`"


def _misspelt(command: type, words: Sequence[str]) -> str:
    """The sentence about the first option that a command does not have, with the nearest; empty where there is none."""
    known = options(command)
    for word in words:
        flag = word.partition("=")[0]
        spelt = f"--{flag[2:].replace('_', '-')}" if flag.startswith("--") else flag
        if _FLAG.fullmatch(flag) and spelt not in known and not re.fullmatch("-v+", flag):
            meant = nearest(spelt, known)
            return f"unknown option {flag!r}" + (f"; {meant}" if meant.endswith("?") else "")
    return ""


def options(command: type) -> set[str]:
    """The options of a command, from its help."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            tyro.cli(command, args=["--help"], config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit:
        pass
    return set(_FLAG.findall(said.getvalue()))


def _plainly(name: str, box: str) -> str:
    """The first remark in a box of tyro's, as a sentence; the box is of spaces and hyphens where stdout is no UTF-8."""
    title, *lines = (line.strip(_FRAME).rstrip() for line in box.strip().splitlines() or [""])
    remark = dedent("\n".join(takewhile(_has_words, dropwhile(lambda line: not _has_words(line), lines))))
    if title.strip() == _REQUIRED:
        # What is missing is indented by four; its help by more.
        missing = [line.strip().replace(", ", " or ") for line in remark.splitlines() if re.match(r" {4}\S", line)]
        return f"{name} needs {' and '.join(missing)}"
    text = " ".join(remark.split())
    for theirs, ours in _PLAINER:
        if found := re.fullmatch(theirs, text):
            return found.expand(ours)
    return text.rstrip(".") or "the command line cannot be read"


def _has_words(line: str) -> bool:
    return bool(line.strip("─- "))
