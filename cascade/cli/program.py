"""What every program of the package shares: parsing, exit codes, and one sentence for each error.

Exit codes: 0 ok, 1 an error of our own, 2 usage, 3 unusable input, 4 part of a batch failed, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import tyro
from tyro.conf import UseCounterAction, arg

from cascade.errors import CascadeError

OK = 0
OUR_ERROR = 1
USAGE = 2
PART_FAILED = 4
INTERRUPTED = 130


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
        if given == ["--version"]:
            print(f"{self.name} {version()}")
            return OK
        try:
            command = self._parse(given)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else USAGE
        with warnings.catch_warnings(), _ended_politely():
            if not command.verbose:
                # Remarks of libraries to their programmers; ours are findings, not Python warnings.
                warnings.simplefilter("ignore")
            return answer(command)

    def _parse(self, arguments: list[str]) -> Command:
        command: Command = tyro.extras.subcommand_cli_from_dict(
            dict(self.commands),
            prog=self.name,
            description=f"{self.about}\n\n{self.name} COMMAND --help explains a command; --version says which this is.",
            args=arguments,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        return command


def answer(command: Command) -> int:
    """Run a command; an error becomes one sentence on stderr and its exit code."""
    try:
        return command.run()
    except KeyboardInterrupt:
        print("interrupted; nothing half-written is left", file=sys.stderr)
        return INTERRUPTED
    except CascadeError as error:
        if command.verbose > 1:
            traceback.print_exc()
        complain(error)
        return error.exit_code
    except Exception as error:
        if command.verbose > 1:
            traceback.print_exc()
        again = "run again with -vv for the traceback"
        print(f"error: E_INTERNAL: {type(error).__name__}: {one_line(error)}; {again}", file=sys.stderr)
        return OUR_ERROR


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


def complain(error: CascadeError, about: str = "") -> None:
    """One sentence on stderr."""
    print(f"error: {error.code}: {about}{' '.join(error.text.split())}", file=sys.stderr)


def one_line(error: BaseException) -> str:
    """An error's text without line breaks."""
    return " ".join(str(error).split())


def version() -> str:
    """The installed package's version; `0+tree` for a tree that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("pe-cascade")
    except PackageNotFoundError:
        return "0+tree"
