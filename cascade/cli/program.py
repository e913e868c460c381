"""What every program of the package shares: parsing, exit codes, and one sentence for each error.

Exit codes: 0 ok, 1 an error of our own, 2 usage, 3 unusable input, 4 part of a batch failed, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseCounterAction, arg

from cascade.cli import wrong_call
from cascade.core.errors import CascadeError, InputError, UsageError
from cascade.core.registry import refuse_shadowed
from cascade.core.version import version_with_commit

OK = 0
OUR_ERROR = 1
USAGE = 2
PART_FAILED = 4
INTERRUPTED = 130
SETTING = re.compile(r"[a-z_]+(\.\w+)*=")
"""How a `KEY=VALUE` begins."""
FLAGS = frozenset({"-q", "-v", "-vv", "--verbose"})
"""Options without a value that every command has, beside those that are true or false."""


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """Options that every command has.

    Attributes:
        quiet: Say nothing but errors.
        verbose: Say more, in a pipe too; twice: with tracebacks.
    """

    quiet: Annotated[bool, arg(aliases=["-q"])] = False
    verbose: Annotated[UseCounterAction[int], arg(aliases=["-v"])] = 0

    @abstractmethod
    def run(self) -> int:
        """Do it, and return the exit code."""

    def left(self) -> str:
        """What an interruption leaves behind, for a person."""
        return "nothing half-written is left"


@dataclass(frozen=True)
class Program:
    """A program of several commands.

    Attributes:
        name: As it is called.
        about: What it is, for `--help`.
        commands: Its commands by name.
    """

    name: str
    about: str
    commands: Mapping[str, type[Command]]

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        """Parse, run, and turn every error into one sentence on stderr and an exit code.

        Args:
            arguments: Without the program's name; those of the process by default.
        """
        given = list(sys.argv[1:] if arguments is None else arguments)
        try:
            if given == ["--version"]:
                tell(f"{self.name} {version_with_commit()}")
                return OK
            command = self._parse(given)
        except BrokenPipeError:
            _say_no_more()
            return OK
        except SystemExit as stop:  # after --help
            return stop.code if isinstance(stop.code, int) else USAGE
        except UsageError as error:
            say_aside(f"error: {error}")
            return error.exit_code
        from cascade.runtime import offline

        with offline(whole_program=True), warnings.catch_warnings(), _ended_politely():
            if not command.verbose:
                # Remarks of libraries to their programmers; ours are findings, not Python warnings.
                warnings.simplefilter("ignore")
            return answer(command)

    def _parse(self, arguments: list[str]) -> Command:
        """The command that a command line asks for.

        Raises:
            UsageError: It cannot be parsed.
            SystemExit: It asked for help, which was given.
        """
        first = self.commands.get(arguments[0]) if arguments else None
        if first is not None and "overrides" in {field.name for field in fields(first)}:
            flags = {f"--{field.name.replace('_', '-')}" for field in fields(first) if isinstance(field.default, bool)}
            arguments = settings_first(arguments, flags | FLAGS)
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                command: Command = tyro.extras.subcommand_cli_from_dict(
                    dict(self.commands),
                    prog=self.name,
                    description=f"{self.about}\n\n{self.name} COMMAND --help explains a command; "
                    "--version says which this is.",
                    args=arguments,
                    config=(tyro.conf.FlagCreatePairsOff,),
                )
        except SystemExit as stop:
            if not stop.code:
                raise
            raise UsageError(wrong_call.sentence(self.name, self.commands, arguments, said.getvalue())) from stop
        return command


def settings_first(arguments: Sequence[str], flags: Set[str]) -> list[str]:
    """A command line with its `KEY=VALUE` right behind the command's name.

    They may stand anywhere: behind `--data A B` they would be taken for folders. What follows an option is its value,
    unless the option is one of the flags, which take none, or has its value in the same word (`--out=RUN`).
    """
    command, *rest = arguments
    moved = [
        SETTING.match(text) is not None and (not before.startswith("-") or before in flags or "=" in before)
        for before, text in pairwise([command, *rest])
    ]
    settings, others = ([text for text, one in zip(rest, moved, strict=True) if one is side] for side in (True, False))
    return [command, *settings, *others]


def answer(command: Command) -> int:
    """Run a command; an error becomes one sentence on stderr and its exit code."""
    try:
        refuse_shadowed()
        return command.run()
    except KeyboardInterrupt:
        say_aside(f"interrupted; {command.left()}")
        return INTERRUPTED
    except Exception as error:
        return failed(command, error)


def failed(command: Command, error: Exception, about: str = "") -> int:
    """One sentence on stderr about an error, with its traceback where that was asked for. Returns its exit code."""
    if command.verbose > 1:
        traceback.print_exception(error)
    if isinstance(error, CascadeError):
        code, text, exit_code = error.code, error.text, error.exit_code
    elif isinstance(error, OSError):
        # error.strerror names the cause without the path, which may hold a patient's name.
        cause = error.strerror or type(error).__name__
        text = (
            f"a file or folder cannot be read or written ({cause}); see to permissions and free space, -vv says where"
        )
        code, exit_code = "E_FILE", InputError.exit_code
    else:
        text = f"{type(error).__name__}: {error}; run again with -vv for the traceback"
        code, exit_code = "E_INTERNAL", OUR_ERROR
    say_aside(f"error: {code}: {about}{' '.join(text.split())}")
    return exit_code


def tell(text: str) -> None:
    """Data that was asked for, on stdout at once; a reader that has had enough is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _say_no_more()


def say_aside(*lines: str) -> None:
    """Lines for a person, on stderr at once; that nobody reads them is no error."""
    with suppress(BrokenPipeError):
        print(*lines, sep="\n", file=sys.stderr, flush=True)


def _say_no_more() -> None:
    """Nobody reads stdout any longer: what is still said goes nowhere, and Python doesn't complain at its end."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def _ended_politely() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: half-written folders are taken away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
