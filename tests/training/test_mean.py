"""The mean of weights: a network with itself is itself, and order does not matter."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cascade.bundle import Bundle, StageEntry, load, save
from cascade.bundle.weights import pack, read_header, unpack
from cascade.cli.train.main import main
from cascade.core.errors import UsageError
from cascade.training.mean import mean_weights
from cascade.training.mean_bundle import mean_bundle
from tests.small_bundle import EVERY, network, parameters


def weights(seed: int, width: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(width, 2, 3, 3, 3)).astype(np.float32)
    return {"kernel": kernel, "bias": rng.normal(size=width).astype(np.float32), "seen": np.array(seed)}


def plain(folder: Path, seed: int, width: int = 3) -> Path:
    """As a run keeps them."""
    save_file(weights(seed, width), folder / f"{seed}.safetensors")
    return folder / f"{seed}.safetensors"


def bundled(folder: Path, seed: int, width: int = 3) -> Path:
    """As a bundle keeps them."""
    path = folder / f"bundled-{seed}.safetensors"
    path.write_bytes(pack(weights(seed), "attention_resunet_3d", {"width": width}))
    return path


@pytest.mark.parametrize("kept", [plain, bundled])
@pytest.mark.parametrize("times", [2, 3])
def test_the_mean_of_a_network_with_itself_is_itself(kept, times: int, tmp_path: Path):
    file = kept(tmp_path, 1)
    (tmp_path / "mean").write_bytes(mean_weights([file] * times))
    mean, once = load_file(tmp_path / "mean"), load_file(file)
    assert mean.keys() == once.keys()
    for name, value in once.items():
        assert mean[name].dtype == value.dtype
        assert np.array_equal(mean[name], value)


def test_the_order_of_the_networks_does_not_matter(tmp_path: Path):
    files = [plain(tmp_path, 1), plain(tmp_path, 2), bundled(tmp_path, 3)]
    assert len({mean_weights(order) for order in permutations(files)}) == 1


def test_the_mean_lies_in_the_middle_and_counts_are_the_largest(tmp_path: Path):
    (tmp_path / "mean").write_bytes(mean_weights([plain(tmp_path, 1), plain(tmp_path, 2)]))
    mean, one, two = load_file(tmp_path / "mean"), weights(1), weights(2)
    assert np.allclose(mean["kernel"], (one["kernel"] + two["kernel"]) / 2)
    assert mean["seen"] == 2


def test_a_mean_bears_the_networks_name_where_all_do(tmp_path: Path):
    named = [bundled(tmp_path, 1), bundled(tmp_path, 2)]
    assert read_header(mean_weights(named)) == ("attention_resunet_3d", {"width": 3})
    with pytest.raises(ValueError, match="does not name the network"):
        read_header(mean_weights([*named, plain(tmp_path, 3)]))


def test_other_networks_are_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    one = plain(tmp_path, 1)
    for other, told in (
        (plain(tmp_path, 2, width=4), "another network than .*: 2 tensors differ, 'bias' first; give weights of one"),
        (tmp_path / "no.safetensors", "holds no weights"),
    ):
        if not other.exists():
            other.write_bytes(b"no weights")
        with pytest.raises(UsageError, match=told):
            mean_weights([one, other])
        assert main(["average", str(one), str(other), "-o", str(tmp_path / "mean")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: E_START: ")
    with pytest.raises(UsageError, match="with the same arguments"):
        mean_weights([bundled(tmp_path, 1), bundled(tmp_path, 2, width=5)])
    with pytest.raises(UsageError, match="two networks or more"):
        mean_weights([one])
    assert not (tmp_path / "mean").exists()


def test_the_command_writes_the_mean_and_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [plain(tmp_path, 1), plain(tmp_path, 2)]
    command = ["average", *map(str, files), "-o", str(tmp_path / "mean.safetensors")]
    assert main(command) == 0
    assert (tmp_path / "mean.safetensors").read_bytes() == mean_weights(files)
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err


def coarse(*seeds: int, widths: tuple[int, int] = (8, 16), name: str = "one") -> Bundle:
    """A bundle of one stage, with a network a seed."""
    from segmenters.coarse import CoarseConfig

    config, ((net, arguments),) = EVERY["coarse"]
    networks = tuple(network("coarse", net, {**arguments, "widths": list(widths)}, seed) for seed in seeds)
    return Bundle(name, (StageEntry("coarse", CoarseConfig(**config), networks),), fusion={"coarse": parameters()})


def tensors(bundle: Bundle, place: int = 0) -> dict[str, np.ndarray]:
    return unpack(bundle.stages[0].networks[place].blob)


def test_the_mean_of_a_bundle_with_itself_is_itself():
    bundle = coarse(1, 2)
    assert mean_bundle([bundle, bundle]) == bundle


def test_networks_of_bundles_are_averaged_place_by_place_in_any_order():
    one, two = coarse(1, 2), coarse(3, 4)
    for both in ([one, two], [two, one]):
        made = mean_bundle(both)
        assert len(made.stages[0].networks) == 2
        assert not made.fusion, "it was fitted for other networks"
        for place in range(2):
            for name, value in tensors(made, place).items():
                assert np.allclose(value, (tensors(one, place)[name] + tensors(two, place)[name]) / 2, atol=1e-3)


def test_members_of_one_architecture_in_one_bundle_become_one():
    other = coarse(5, widths=(8, 8)).stages[0].networks
    mixed = coarse(1, 2)
    mixed = Bundle("mixed", (StageEntry("coarse", mixed.stages[0].config, (*mixed.stages[0].networks, *other)),))
    made = mean_bundle([mixed])
    assert [net.arguments["widths"] for net in made.stages[0].networks] == [[8, 16], [8, 8]]
    kernel = next(name for name, value in tensors(mixed).items() if value.ndim > 1)
    assert np.allclose(tensors(made)[kernel], (tensors(mixed)[kernel] + tensors(mixed, 1)[kernel]) / 2, atol=1e-3)
    with pytest.raises(UsageError, match=r"E_START.*no stage of the bundle has two networks of one name"):
        mean_bundle([made])


def test_bundles_of_other_networks_are_refused_in_one_sentence():
    for other, told in (
        (coarse(1, 2, name="two"), "stage 'coarse' of bundle 'two' holds other networks than that of 'one'"),
        (coarse(1, widths=(8, 8)), "with the same arguments"),
        (Bundle("none"), r"bundle 'none' has the stages \[\], 'one' \['coarse'\]"),
    ):
        with pytest.raises(UsageError, match=told):
            mean_bundle([coarse(1), other])


def test_the_command_takes_bundles_and_the_runs_that_hold_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save(coarse(1), tmp_path / "one")
    save(coarse(2), tmp_path / "run" / "bundle")
    command = ["average", str(tmp_path / "one"), str(tmp_path / "run"), "-o", str(tmp_path / "mean")]
    assert main(command) == 0
    (stage,) = load(tmp_path / "mean").open("torch", "cpu")
    assert stage.name == "coarse"
    assert main(command) == 2
    assert main(["average", str(tmp_path / "one"), str(plain(tmp_path, 1)), "-o", str(tmp_path / "new")]) == 2
    assert "of files, or of bundles; give either" in capsys.readouterr().err
