"""What a bundle is: stages, their networks and the fusions that were fitted for them.

Only this module turns a name of a manifest into a class, and only by the lists that the network packages export
(`STAGES`, `NETWORKS`): a manifest can never name other code. Nothing is pickled and nothing is evaluated.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cascade.bundle.weights import pack, unpack
from cascade.core.errors import BundleError, UsageError
from cascade.core.registry import PACKAGES, build, nearest, refuse_shadowed
from cascade.core.version import version_of, version_with_commit
from cascade.fusion import FusionParameters, Gates
from cascade.fusion.parameters import VOXEL_INPUTS
from cascade.runtime import Blueprint, open_net

if TYPE_CHECKING:
    from torch import nn

    from cascade.core.stage import Learned


@cache
def network_packages() -> tuple[ModuleType, ...]:
    """The packages of networks, in the order in which their stages look at a study.

    Raises:
        UsageError: E_SHADOWED, another package of such a name stands before ours.
    """
    refuse_shadowed()
    return tuple(importlib.import_module(name) for name in PACKAGES)


def stage_classes() -> dict[str, type[Learned]]:
    """Every learned stage by name, from the packages' own lists; the order of those is the order of the cascade."""
    return {name: kind for package in network_packages() for name, kind in package.STAGES.items()}


def network_table(stage: str) -> dict[str, str]:
    """The networks that a stage may have: its own, else those of its package."""
    for package in network_packages():
        if stage in package.STAGES:
            return dict(package.STAGES[stage].networks or package.NETWORKS)
    raise BundleError(f"unknown stage {stage!r}; {nearest(stage, stage_classes())}", "E_UNKNOWN_STAGE")


@dataclass(frozen=True)
class Network:
    """One network's name, arguments and weights.

    Attributes:
        name: A key of its package's `NETWORKS`.
        arguments: What its class is called with; JSON.
        blob: The safetensors file's bytes, the very ones that were checked.
        input: Shape of one sample `[channel, y, x]` or `[channel, z, y, x]` where known: it is then opened before the
            first study.
        figures: What was measured of it, for the card.
    """

    name: str
    arguments: Mapping[str, Any]
    blob: bytes = field(repr=False)
    input: tuple[int, ...] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        module: nn.Module,
        input: tuple[int, ...] | None = None,  # noqa: A002  # the manifest's own word
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
        """SHA-256 of the whole file."""
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

    @property
    def place(self) -> int:
        """Where it stands in the cascade."""
        return _place(self.stage)

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
        gates: When the fusion abstains, whatever was fitted.
        facts: created, version, licence, intended_use, trained_on, provenance: as the manifest has them.
        card: The model card, Markdown.
        folder: Where it was loaded from.
        sha256: Of the manifest, which holds every file's; empty for a bundle that was never saved.
    """

    name: str = "unnamed"
    stages: tuple[StageEntry, ...] = ()
    fusion: Mapping[str, FusionParameters] = field(default_factory=dict)
    gates: Gates = field(default_factory=Gates)
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
        return replace(
            self,
            stages=tuple(sorted(kept, key=lambda one: one.place)),
            fusion=fusion,
            card=card,
            facts=self._facts(),
            sha256="",
        )

    def with_fusion(self, fitted: Mapping[str, FusionParameters]) -> Bundle:
        """This bundle with fusions added, by subset (see `subset_name`)."""
        return replace(self, fusion={**self.fusion, **fitted}, facts=self._facts(), sha256="")

    def _facts(self) -> dict[str, Any]:
        """The facts of a bundle that is made anew now."""
        return {**self.facts, "version": version_with_commit()}

    def open(self, runtime: str, device: str, only: Iterable[str] | None = None) -> list[Learned]:
        """The stages with their networks behind a runtime, in the order of the cascade."""
        wanted = set(self.names if only is None else only)
        return [_open(self, entry, runtime, device) for entry in self.stages if entry.stage in wanted]


def subset_name(stages: Iterable[str]) -> str:
    """How a set of learned stages is called in `Bundle.fusion`: in the cascade's order, joined with "+"."""
    return "+".join(sorted(stages, key=lambda name: (_place(name), name)))


def inputs_of(stages: Iterable[str]) -> tuple[str, ...]:
    """What these learned stages give the fusion's model of the exam, the last stage first."""
    known, inputs = stage_classes(), list[str]()
    for name in sorted(stages, key=_place, reverse=True):
        inputs += {"nothing": (), "slices": (name,), "voxels": VOXEL_INPUTS}[known[name].scores]
    return tuple(dict.fromkeys(inputs))


def _place(stage: str) -> int:
    """Where a stage stands in the cascade; behind all others where it is unknown."""
    order = list(stage_classes())
    return order.index(stage) if stage in order else len(order)


def _open(bundle: Bundle, entry: StageEntry, runtime: str, device: str) -> Learned:
    kind = stage_classes()[entry.stage]
    code = _code(kind.__module__.split(".")[0])
    nets = {}
    for member, net in entry.members.items():
        blueprint = Blueprint(net.name, partial(net.module, entry.stage), f"{net.sha256} {code}", net.input)
        try:
            nets[member] = open_net(blueprint, runtime=runtime, device=device, full_precision=kind.full_precision)
        except (RuntimeError, UsageError) as error:  # torch's and OpenVINO's own, of several lines; a network's
            first = " ".join(str(error).split())[:200]
            text = f"network {member!r} of stage {entry.stage!r} cannot be opened with input {net.input}: {first}"
            raise BundleError(f"{text}; get the bundle again", "E_WEIGHTS_DIFFER") from error
    return kind(nets, entry.config)


def _code(package: str) -> str:
    """Hash of a package's sources and of the libraries it builds on: a compiled form of other code is not used."""
    digest = hashlib.sha256()
    for path in sorted(Path(str(importlib.import_module(package).__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for library in ("torch", "timm", "ultralytics", "segmentation-models-pytorch"):
        digest.update((version_of(library) or "absent").encode())
    return digest.hexdigest()
