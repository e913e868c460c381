"""`args.yaml` of a run: its settings and sources, written when it begins and read when it is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from cascade.core.config import ConfigError, from_json, to_json
from cascade.core.errors import UsageError
from cascade.core.files import write_bytes

if TYPE_CHECKING:
    from cascade.bundle import Bundle

T = TypeVar("T")

NAME = "args.yaml"
_RENAMED = {"planes": "slices", "beside": "add_member"}
"""Settings of earlier versions' runs, by what they are called now."""


def run_arguments(
    settings: object,
    data: Iterable[Path],
    validation: Iterable[Path],
    base: Bundle | None,
    counts: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """What `args.yaml` holds: the settings, and where the cases come from, so that it can be resumed from elsewhere.

    Args:
        settings: A dataclass.
        data: Data sets to learn from.
        validation: Data sets of other patients.
        base: The bundle that supplies the other stages.
        counts: How much was found in the data, for people.
    """
    return {
        "data": [str(folder.resolve()) for folder in data],
        "validation": [str(folder.resolve()) for folder in validation],
        "bundle": str(base.folder.resolve()) if base and base.folder else None,
        **to_json(settings),
        **counts,
    }


def save_arguments(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Write `args.yaml` into a run folder, which is made where it is not there: dataclasses or plain values by name."""
    import yaml

    text = yaml.safe_dump(to_json(arguments), sort_keys=False, default_flow_style=None, allow_unicode=True)
    write_bytes(folder / NAME, text.encode())


def load_arguments(folder: Path) -> dict[str, Any]:
    """What `save_arguments` wrote, in the words of this version.

    Raises:
        UsageError: The folder is no run, or one that cannot be resumed.
    """
    refuse_unless_begun(folder)
    arguments = _read(folder)
    if not (isinstance(arguments, dict) and {"data", "validation", "bundle"} <= arguments.keys()):
        raise UsageError(f"{folder}/{NAME} does not hold the settings of a run; start a new one", "E_RESUME")
    for earlier, name in _RENAMED.items():
        if earlier in arguments:
            arguments[name] = arguments.pop(earlier)
    return arguments


def saved_settings(kind: type[T], arguments: Mapping[str, Any], folder: Path) -> T:
    """The settings of a run from its arguments; those that its version did not have are as usual.

    Raises:
        UsageError: One is of another form.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass, which no type variable can say
    try:
        return from_json(kind, {name: value for name, value in arguments.items() if name in names})
    except ConfigError as error:
        raise UsageError(f"{folder}/{NAME}: {error}; start a new run", "E_RESUME") from error


def refuse_unless_begun(folder: Path) -> None:
    """Resume only what was begun and has not ended; what has no end of its own (`Plan.goes_on`) goes on at any time.

    Raises:
        UsageError: The folder is no run, or holds a finished run.
    """
    if not (folder / NAME).is_file():
        raise UsageError(f"{folder} is no training run; there is nothing to resume", "E_RESUME")
    if (folder / "bundle" / "manifest.json").is_file() and not _goes_on(_read(folder)):
        raise UsageError(f"the run {folder} has ended; its bundle is {folder / 'bundle'}", "E_RESUME")


def _goes_on(arguments: Any) -> bool:
    """Whether the plan among a run's arguments is one that goes on."""
    plan = arguments.get("plan") if isinstance(arguments, dict) else None
    return isinstance(plan, dict) and plan.get("schedule") == "constant"


def _read(folder: Path) -> Any:
    """What stands in `args.yaml`; None where that is no YAML."""
    import yaml

    try:
        return yaml.safe_load((folder / NAME).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
