"""The mean of bundles: of networks that stand in one place in several, or of members of one architecture in one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from safetensors.numpy import load, save

from cascade.bundle import Bundle, Network, StageEntry
from cascade.core.config import to_json
from cascade.core.errors import UsageError
from cascade.training.mean import mean


def mean_bundle(bundles: Sequence[Bundle]) -> Bundle:
    """One bundle of the means of networks; a stage whose networks change loses its fusion, as one that is trained does.

    Args:
        bundles: Several with the same stages and networks: each network becomes the mean of its own place in all, and
            what else a bundle holds is the first one's. Or one: members of one name, with the same arguments, become
            one.

    Raises:
        UsageError: The bundles hold different networks, or the one holds no two of one architecture.
    """
    first, *others = bundles
    for other in others:
        _refuse_other(first, other)
    made = first
    for place, entry in enumerate(first.stages):
        if others:
            alike = list(zip(*(one.stages[place].networks for one in bundles), strict=True))
        else:
            alike = _by_architecture(entry)
        networks = tuple(_mean_network(some) for some in alike)
        if [one.sha256 for one in networks] != [one.sha256 for one in entry.networks]:
            made = made.with_stage(replace(entry, networks=networks))
    if made is first and not others:
        text = "no stage of the bundle has two networks of one name with the same arguments"
        raise UsageError(f"{text}; give two bundles, or files of weights", "E_START")
    return made


def _by_architecture(entry: StageEntry) -> list[tuple[Network, ...]]:
    """A stage's networks of one name and the same arguments together, in the order of the first of them."""
    groups: dict[str, list[Network]] = {}
    for network in entry.networks:
        groups.setdefault(_architecture(network), []).append(network)
    return [tuple(group) for group in groups.values()]


def _mean_network(networks: Sequence[Network]) -> Network:
    """The mean of networks of one architecture, without figures; the first of them where all are the same."""
    first = networks[0]
    if all(one.sha256 == first.sha256 for one in networks):
        return first
    tensors = [load(one.blob) for one in networks]
    means = {name: mean([one[name] for one in tensors]) for name in tensors[0]}
    metadata = {"name": first.name, "arguments": json.dumps(to_json(first.arguments), sort_keys=True)}
    return replace(first, blob=bytes(save(means, metadata)), figures={})


def _refuse_other(ours: Bundle, theirs: Bundle) -> None:
    """Refuse bundles whose networks do not stand place by place.

    Raises:
        UsageError: One has other stages, other networks, or shows them other views.
    """
    if ours.names != theirs.names:
        text = f"bundle {theirs.name!r} has the stages {list(theirs.names)}, {ours.name!r} {list(ours.names)}"
        raise UsageError(f"{text}; give bundles of the same stages", "E_START")
    for one, other in zip(ours.stages, theirs.stages, strict=True):
        if [_architecture(net) for net in one.networks] != [_architecture(net) for net in other.networks]:
            text = f"stage {one.stage!r} of bundle {theirs.name!r} holds other networks than that of {ours.name!r}"
            raise UsageError(f"{text}; give bundles of the same networks, with the same arguments", "E_START")
        if one.config != other.config:
            text = f"stage {one.stage!r} of bundle {theirs.name!r} cuts studies otherwise than that of {ours.name!r}"
            raise UsageError(f"{text}; give bundles whose networks see the same", "E_STAGE")


def _architecture(network: Network) -> str:
    """Name and arguments: networks that have both in common have weights of the same shapes."""
    return json.dumps([network.name, to_json(network.arguments)], sort_keys=True)
