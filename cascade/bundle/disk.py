"""A bundle on disk: one manifest and one safetensors file a network, all of it checked before any of it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cascade.bundle.values import Bundle, Network, StageEntry, network_table, stage_classes, subset_name
from cascade.bundle.weights import read_header, read_plain
from cascade.core.config import from_json, to_json
from cascade.core.errors import BundleError
from cascade.core.files import write_bytes
from cascade.core.folder import as_path, writable
from cascade.core.registry import nearest
from cascade.fusion import FusionParameters, Gates
from cascade.fusion.parameters import sound

FORMAT = 1


def default_path() -> Path:
    """The bundle that comes with the package: `cascade/weights` where installed, `weights` beside it in a checkout.

    Raises:
        BundleError: Neither is there.
    """
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "weights", here.parent / "weights"):
        if (folder / "manifest.json").is_file():
            return folder
    raise BundleError(
        "no default bundle was found beside the package; name one with --bundle, or install the weights with it",
        "E_NO_BUNDLE",
    )


def save(bundle: Bundle, folder: Path | str) -> Bundle:
    """Write a bundle: files first, the manifest last, so that a folder without a manifest is no bundle.

    A bundle that stands there is replaced; its files that are no longer named are removed.

    Returns:
        The bundle with its folder and hash.

    Raises:
        BundleError: The folder holds something that is no bundle.
        UsageError: It is no path, a file, or may not be written to.
        OutputError: The disk is full, or the folder may not be written to.
    """
    folder = writable(as_path(folder, "a bundle"))
    before: list[str] = []
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "manifest.json").is_file() and any(folder.glob("[!_.]*")):
            raise BundleError(f"{folder} is not empty and holds no bundle; choose another folder", "E_NOT_A_BUNDLE")
        before = [path.name for path in folder.glob("*.safetensors")]
    folder.mkdir(parents=True, exist_ok=True)
    files = {entry.file(member): net for entry in bundle.stages for member, net in entry.members.items()}
    for name, net in files.items():
        write_bytes(folder / name, net.blob)
    if bundle.card:
        write_bytes(folder / "card.md", bundle.card.encode())
    text = json.dumps(_manifest(bundle), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(folder / "manifest.json", text.encode())
    for name in before:
        if name not in files:
            (folder / name).unlink()
    return replace(bundle, folder=folder, sha256=hashlib.sha256(text.encode()).hexdigest())


def load(folder: Path | str | None = None) -> Bundle:
    """Read and check a bundle, or the one that a run folder holds as `bundle/`; None is the default bundle.

    Raises:
        BundleError: Anything is missing, changed or unknown; nothing was loaded then.
        UsageError: It is no path.
    """
    folder = default_path() if folder is None else as_path(folder, "a bundle")
    if not (folder / "manifest.json").is_file() and (folder / "bundle" / "manifest.json").is_file():
        folder = folder / "bundle"
    text = read_plain(folder, "manifest.json")
    try:
        manifest = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{folder / 'manifest.json'} is not JSON: {error}", "E_MANIFEST") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest["format"] is True:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise BundleError(
            f"{folder / 'manifest.json'} has format {found!r}, this version reads {FORMAT}; "
            "take a bundle made for this version of the package",
            "E_FORMAT",
        )
    try:
        stages = tuple(_stage(folder, item) for item in manifest["stages"])
        gates = from_json(Gates, manifest.get("gates", {}), "gates")
        fusion = _fusion(manifest)
        name = str(manifest["name"])
    except KeyError as error:
        text_of = f"{folder / 'manifest.json'} lacks the field {error}; the bundle is incomplete, get it again"
        raise BundleError(text_of, "E_MANIFEST") from error
    except (TypeError, AttributeError, ValueError) as error:
        text_of = f"{folder / 'manifest.json'} has not the form of a manifest ({error}); get the bundle again"
        raise BundleError(text_of, "E_MANIFEST") from error
    if len({entry.stage for entry in stages}) != len(stages):
        raise BundleError(f"{folder / 'manifest.json'} names a stage twice", "E_MANIFEST")
    facts = {key: value for key, value in manifest.items() if key not in _OWN}
    # The card is for people: one that is no UTF-8 is shown as far as it goes.
    card = (folder / "card.md").read_text(encoding="utf-8", errors="replace") if (folder / "card.md").is_file() else ""
    return Bundle(
        name=name,
        stages=tuple(sorted(stages, key=lambda entry: entry.place)),
        fusion=fusion,
        gates=gates,
        facts=facts,
        card=card,
        folder=folder,
        sha256=hashlib.sha256(text).hexdigest(),
    )


_RENAMED = {"filter": "lung_filter"}
"""Inputs of the fusion in earlier manifests, and what they are called now."""

_OWN = ("format", "name", "stages", "gates", "fusion", "operating_points")


def _manifest(bundle: Bundle) -> dict[str, Any]:
    full = bundle.fusion.get(subset_name(bundle.names))
    fusion: dict[str, Any] = {}
    if full is not None:
        fusion = {key: value for key, value in to_json(full).items() if key != "operating_points"}
    others = {key: to_json(value) for key, value in bundle.fusion.items() if value is not full}
    return {
        "format": FORMAT,
        "name": bundle.name,
        **dict(bundle.facts),
        "stages": [
            {
                "name": entry.stage,
                "stage": stage_classes()[entry.stage].__name__,
                "config": to_json(entry.config),
                "networks": [
                    {
                        "name": net.name,
                        "arguments": dict(net.arguments),
                        "file": entry.file(member),
                        "sha256": net.sha256,
                        "input": None if net.input is None else list(net.input),
                        "figures": dict(net.figures),
                    }
                    for member, net in entry.members.items()
                ],
            }
            for entry in bundle.stages
        ],
        "gates": to_json(bundle.gates),
        "fusion": {**fusion, "subsets": others},
        "operating_points": {} if full is None else to_json(full)["operating_points"],
    }


def _fusion(manifest: Mapping[str, Any]) -> dict[str, FusionParameters]:
    found = dict(manifest.get("fusion") or {})
    subsets = dict(found.pop("subsets", {}))
    if found:
        full = subset_name(item["name"] for item in manifest["stages"])
        subsets[full] = {**found, "operating_points": manifest.get("operating_points", {})}
    try:
        scoring = [name for name, kind in stage_classes().items() if kind.scores == "slices"]
        return {
            key: sound(from_json(FusionParameters, _by_stage(value), "fusion"), scoring)
            for key, value in subsets.items()
        }
    except ValueError as error:
        raise BundleError(f"the manifest's {error}", "E_MANIFEST") from error


def _by_stage(fusion: Any) -> Any:
    """A fusion whose inputs bear the names of stages: earlier manifests had another name for one of them."""
    if not isinstance(fusion, Mapping):
        return fusion
    renamed = dict(fusion)
    for part in ("inputs", "coefficients", "baselines"):
        values = fusion.get(part)
        if isinstance(values, Mapping):
            renamed[part] = {_RENAMED.get(name, name): value for name, value in values.items()}
        elif isinstance(values, list):
            renamed[part] = [_RENAMED.get(str(name), name) for name in values]
    return renamed


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _stage(folder: Path, item: Mapping[str, Any]) -> StageEntry:
    name = item["name"]
    classes = stage_classes()
    if name not in classes or item["stage"] != classes[name].__name__:
        shown = f"{name} ({item['stage']})"
        raise BundleError(
            f"the manifest names an unknown stage {shown}; {nearest(str(name), classes)}", "E_UNKNOWN_STAGE"
        )
    try:
        config = from_json(classes[name].Config, item.get("config", {}), f"{name}.config")
    except ValueError as error:
        raise BundleError(f"the manifest's {error}", "E_CONFIG") from error
    networks = tuple(_network(folder, name, one) for one in item["networks"])
    if not networks:
        raise BundleError(f"stage {name!r} has no network; the bundle is incomplete, get it again", "E_MANIFEST")
    if len({net.sha256 for net in networks}) != len(networks):
        raise BundleError(f"stage {name!r} names a network twice", "E_MANIFEST")
    return StageEntry(name, config, networks)


def _network(folder: Path, stage: str, item: Mapping[str, Any]) -> Network:
    name, file = item["name"], item["file"]
    table = network_table(stage)
    if name not in table:
        raise BundleError(
            f"stage {stage!r} names an unknown network {name!r}; {nearest(str(name), table)}", "E_UNKNOWN_NETWORK"
        )
    blob = read_plain(folder, file)
    got = hashlib.sha256(blob).hexdigest()
    if got != item["sha256"]:
        raise BundleError(
            f"{folder / file} was changed: its SHA-256 begins with {got[:12]}, "
            f"the manifest says {str(item['sha256'])[:12]}; get the bundle again",
            "E_BUNDLE_CHANGED",
        )
    try:
        header = read_header(blob)
    except ValueError as error:
        raise BundleError(f"{folder / file} is not a safetensors file: {error}", "E_WEIGHTS_DIFFER") from error
    if header != (name, to_json(item["arguments"])):
        raise BundleError(
            f"{folder / file} holds {header[0]!r} with {header[1]}, "
            f"the manifest says {name!r} with {item['arguments']}; get the bundle again",
            "E_WEIGHTS_DIFFER",
        )
    shape = item.get("input")
    if shape is not None and not (
        isinstance(shape, list) and len(shape) in (3, 4) and all(isinstance(n, int) and 0 < n <= 4096 for n in shape)
    ):
        raise BundleError(
            f"network {name!r} has an input of {shape!r}; three or four positive integers are meant", "E_MANIFEST"
        )
    size = None if shape is None else tuple(shape)
    return Network(name, item["arguments"], blob, size, item.get("figures", {}))
