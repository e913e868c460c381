"""The bundle: one manifest and one safetensors file a network, all of it checked before any of it is used.

Only this module turns a name of a manifest into a class, and only by the lists that the network packages export
(`STAGES`, `NETWORKS`): a manifest can never name other code. Nothing is pickled and nothing is evaluated.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade.config import from_json, to_json
from cascade.errors import BundleError, UsageError
from cascade.fusion import FusionParameters
from cascade.fusion.parameters import sound
from cascade.registry import build, nearest
from cascade.runtime import FULL_PRECISION, Blueprint, open_net
from cascade.weights_file import pack, read_header, read_plain, unpack, write_whole

if TYPE_CHECKING:
    from torch import nn

    from cascade.stage import Learned

FORMAT = 1
PACKAGES = ("detectors", "classifiers", "segmenters")
ORDER = ("lung_detector", "lung_filter", "siamese", "embolus")


def stage_classes() -> dict[str, type[Learned]]:
    """Every learned stage by name, from the packages' own lists."""
    return {name: kind for package in PACKAGES for name, kind in importlib.import_module(package).STAGES.items()}


def network_table(stage: str) -> dict[str, str]:
    """The networks that a stage may have: those of its own package."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        if stage in module.STAGES:
            return dict(module.NETWORKS)
    raise BundleError(f"unknown stage {stage!r}; {nearest(stage, stage_classes())}", "E_UNKNOWN_STAGE")


@dataclass(frozen=True)
class Network:
    """One network's name, arguments and weights.

    Attributes:
        name: A key of its package's `NETWORKS`.
        arguments: What its class is called with; JSON.
        blob: The safetensors file's bytes, the very ones that were checked.
        input: Shape of one sample `[channel, y, x]` where known: it is then opened before the first study.
        figures: What was measured of it, for the card.
    """

    name: str
    arguments: Mapping[str, Any]
    blob: bytes = field(repr=False)
    input: tuple[int, int, int] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        module: nn.Module,
        input: tuple[int, int, int] | None = None,  # noqa: A002  # the manifest's own word
        figures: Mapping[str, Any] | None = None,
    ) -> Network:
        """A torch module as it will be stored: kernels in 16 bits, everything else as it is.

        Arguments left to the class are written down as well: a default that changes later changes no stored network.
        """
        usual = {
            name: p.default for name, p in inspect.signature(type(module)).parameters.items() if p.default != p.empty
        }
        arguments = {**usual, **arguments}
        tensors = {key: value.detach().cpu().numpy() for key, value in module.state_dict().items()}
        return cls(name, arguments, pack(tensors, name, arguments), input, dict(figures or {}))

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.blob).hexdigest()

    def module(self, stage: str) -> nn.Module:
        """The torch module with these weights in float32, in evaluation mode.

        Raises:
            BundleError: The arguments or tensors are not the class's.
        """
        import torch

        try:
            module: nn.Module = build(network_table(stage), self.name, self.arguments)
            tensors = {key: torch.from_numpy(value) for key, value in unpack(self.blob).items()}
            module.load_state_dict(tensors, strict=True)
        except UsageError as error:
            raise BundleError(f"network {self.name!r} of stage {stage!r}: {error.text}", error.code) from error
        except (RuntimeError, ValueError) as error:
            first = str(error).replace("\n", " ")[:300]
            raise BundleError(
                f"the weights of network {self.name!r} of stage {stage!r} do not fit its class: {first}; "
                "take a bundle made with this version of the package",
                "E_WEIGHTS_DIFFER",
            ) from error
        return module.eval()


@dataclass(frozen=True)
class StageEntry:
    """One learned stage of a bundle.

    Attributes:
        stage: A key of its package's `STAGES`.
        config: Its `Config` as a dataclass.
        networks: In order.
    """

    stage: str
    config: Any
    networks: tuple[Network, ...]

    @property
    def members(self) -> dict[str, Network]:
        """The networks by what sets them apart: the name, with a number from the second of that name on."""
        seen: Counter[str] = Counter()
        members: dict[str, Network] = {}
        for network in self.networks:
            seen[network.name] += 1
            count = seen[network.name]
            members[network.name if count == 1 else f"{network.name}-{count}"] = network
        return members

    def file(self, member: str) -> str:
        """The name of a member's file."""
        return f"{self.stage}.{member}.safetensors"


@dataclass(frozen=True)
class Bundle:
    """Everything that a cascade is made from.

    Attributes:
        name: For people.
        stages: In the order of the cascade; a half-trained bundle has fewer.
        fusion: What was fitted, by the names of the learned stages that were present, joined with "+".
        facts: created, version, licence, intended_use, trained_on, provenance: as the manifest has them.
        card: The model card, Markdown.
        folder: Where it was loaded from.
        sha256: Of the manifest, which holds every file's; empty for a bundle that was never saved.
    """

    name: str = "unnamed"
    stages: tuple[StageEntry, ...] = ()
    fusion: Mapping[str, FusionParameters] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    folder: Path | None = None
    sha256: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Its stages, in the order of the cascade."""
        return tuple(entry.stage for entry in self.stages)

    def with_stage(self, entry: StageEntry) -> Bundle:
        """This bundle with a stage added or replaced.

        Fusions that were fitted with the old one are dropped; the card says that its figures are not of the new one.
        """
        kept = [one for one in self.stages if one.stage != entry.stage] + [entry]
        fusion = {key: value for key, value in self.fusion.items() if entry.stage not in key.split("+")}
        remark = f"> Stage `{entry.stage}` was trained anew: what follows tells of the bundle that it was put into.\n\n"
        card = remark + self.card if self.card and not self.card.startswith(remark) else self.card
        return replace(self, stages=tuple(sorted(kept, key=_place)), fusion=fusion, card=card, sha256="")

    def with_fusion(self, fitted: Mapping[str, FusionParameters]) -> Bundle:
        """This bundle with fusions added, by subset (see `subset_name`)."""
        return replace(self, fusion={**self.fusion, **fitted}, sha256="")

    def open(self, runtime: str, device: str, only: Iterable[str] | None = None) -> list[Learned]:
        """The stages with their networks behind a runtime, in the order of the cascade."""
        wanted = set(self.names if only is None else only)
        return [_open(self, entry, runtime, device) for entry in self.stages if entry.stage in wanted]


def subset_name(stages: Iterable[str]) -> str:
    """How a set of learned stages is called in `Bundle.fusion`: in the cascade's order, joined with "+"."""
    return "+".join(sorted(stages, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))


def default_path() -> Path:
    """The bundle that comes with the package: `cascade/weights` where installed, `weights` beside it in a checkout.

    Raises:
        BundleError: Neither is there.
    """
    here = Path(__file__).resolve().parent
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
    """
    folder = Path(folder)
    before: list[str] = []
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "manifest.json").is_file() and any(folder.glob("[!_.]*")):
            raise BundleError(f"{folder} is not empty and holds no bundle; choose another folder", "E_NOT_A_BUNDLE")
        before = [path.name for path in folder.glob("*.safetensors")]
    folder.mkdir(parents=True, exist_ok=True)
    files = {entry.file(member): net for entry in bundle.stages for member, net in entry.members.items()}
    for name, net in files.items():
        write_whole(folder / name, net.blob)
    if bundle.card:
        write_whole(folder / "card.md", bundle.card.encode())
    text = json.dumps(_manifest(bundle), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "manifest.json", text.encode())
    for name in before:
        if name not in files:
            (folder / name).unlink()
    return replace(bundle, folder=folder, sha256=hashlib.sha256(text.encode()).hexdigest())


def load(folder: Path | str | None = None) -> Bundle:
    """Read and check a bundle, or the one that a run folder holds as `bundle/`; None is the default bundle.

    Raises:
        BundleError: Anything is missing, changed or unknown; nothing was loaded then.
    """
    folder = default_path() if folder is None else Path(folder)
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
        name, tuple(sorted(stages, key=_place)), fusion, facts, card, folder, hashlib.sha256(text).hexdigest()
    )


_OWN = ("format", "name", "stages", "fusion", "operating_points")


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
        return {key: sound(from_json(FusionParameters, value, "fusion")) for key, value in subsets.items()}
    except ValueError as error:
        raise BundleError(f"the manifest's {error}", "E_MANIFEST") from error


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
        isinstance(shape, list) and len(shape) == 3 and all(isinstance(n, int) and 0 < n <= 4096 for n in shape)
    ):
        raise BundleError(
            f"network {name!r} has an input of {shape!r}; three positive integers are meant", "E_MANIFEST"
        )
    size = None if shape is None else (shape[0], shape[1], shape[2])
    return Network(name, item["arguments"], blob, size, item.get("figures", {}))


def _open(bundle: Bundle, entry: StageEntry, runtime: str, device: str) -> Learned:
    kind = stage_classes()[entry.stage]
    code = _code(kind.__module__.split(".")[0])
    runtime = FULL_PRECISION.get(runtime, runtime) if kind.full_precision else runtime
    nets = {}
    for member, net in entry.members.items():
        blueprint = Blueprint(net.name, _builder(net, entry.stage), f"{net.sha256} {code}", net.input)
        try:
            nets[member] = open_net(blueprint, runtime=runtime, device=device)
        except (RuntimeError, UsageError) as error:  # torch's and OpenVINO's own, of several lines; a network's
            first = " ".join(str(error).split())[:200]
            text = f"network {member!r} of stage {entry.stage!r} cannot be opened with input {net.input}: {first}"
            raise BundleError(f"{text}; get the bundle again", "E_WEIGHTS_DIFFER") from error
    return kind(nets, entry.config)


def _builder(net: Network, stage: str) -> Callable[[], nn.Module]:
    return lambda: net.module(stage)


def _code(package: str) -> str:
    """Hash of a package's sources and of the libraries it builds on: a compiled form of other code is not used."""
    digest = hashlib.sha256()
    for path in sorted(Path(str(importlib.import_module(package).__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for library in ("torch", "timm", "ultralytics", "segmentation-models-pytorch"):
        digest.update(_version(library).encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def _place(entry: StageEntry) -> int:
    return ORDER.index(entry.stage) if entry.stage in ORDER else len(ORDER)
