"""The five laws that every stage and every network keeps. Both are found by walking the packages."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from torch import nn

import cascade.bundle as bundles
from cascade.bundle import Bundle, Network, StageEntry, load, network_table, save
from cascade.bundle.weights import pack, unpack
from cascade.core.errors import BundleError
from cascade.core.findings import Findings, Slices, same
from cascade.core.grid import Box, Grid
from cascade.core.patch import Patch
from cascade.core.registry import PACKAGES, build
from cascade.core.stage import Learned, Net
from cascade.core.study import Study
from cascade.fusion import Fusion
from cascade.pipeline import Cascade
from cascade.runtime import Choice, open_net
from segmenters.coarse import Block
from tests.agreement import agreement, dice, differences
from tests.small_bundle import EVERY, parameters, small_arguments
from tests.strategies import LEFT_CLOT, RIGHT_CLOT, chest, cropped, moved, orders, stored

STAGES = [name for package in PACKAGES for name in importlib.import_module(package).STAGES]
NETWORKS = [
    (next(stage for stage, kind in importlib.import_module(package).STAGES.items() if not kind.networks), name)
    for package in PACKAGES
    for name in importlib.import_module(package).NETWORKS
] + [(stage, name) for stage, kind in bundles.stage_classes().items() for name in kind.networks]
LARGE = ("siamese_exact",)  # Tens of millions of weights: files and compilers take it with the slow tests.

every_stage = pytest.mark.parametrize("name", STAGES)
every_network = pytest.mark.parametrize(("stage", "name"), NETWORKS)
every_network_as_a_file = pytest.mark.parametrize(
    ("stage", "name"), [pytest.param(*n, marks=pytest.mark.slow if n[1] in LARGE else ()) for n in NETWORKS]
)

STUDY, TRUTH = chest([RIGHT_CLOT, LEFT_CLOT], spacing=(3.0, 3.0, 3.0))
DARK = replace(STUDY, hu=np.where(STUDY.hu < -500, np.where(STUDY.hu < -950, -1000, 40), STUDY.hu).astype(np.int16))
"""The same chest with its lungs filled: whatever is found in it came from the answers, not from the picture."""


@functools.cache
def module_of(stage: str, name: str) -> nn.Module:
    """A network of random weights, of a small size where one is known, in evaluation mode."""
    torch.manual_seed(1)
    module: nn.Module = build(network_table(stage), name, small_arguments(stage, name)).eval()
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]  # statistics are tracked
                layer.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]  # statistics are tracked
            if isinstance(layer, nn.Linear) and layer.out_features <= 4:
                layer.weight *= 0.05  # a random head answers with log-odds of 40 where a trained one says 4
    return module


def stage_of(name: str, nets: dict[str, Net] | None = None) -> Learned:
    """A stage as it is made from a bundle, of a small size where one is known."""
    kind = bundles.stage_classes()[name]
    config = kind.Config(**EVERY[name][0]) if name in EVERY else kind.Config()  # type: ignore[attr-defined]  # each has one
    return kind(nets, config)  # type: ignore[call-arg]  # every stage takes its config


@functools.cache
def running(name: str) -> Learned:
    """The same with its networks."""
    names = [net for net, _ in EVERY[name][1]] if name in EVERY else [bundles.stage_classes()[name].network]
    return stage_of(name, {net: open_net(module_of(name, net)) for net in names})


def batch_for(stage: str, count: int = 4, seed: int = 0) -> NDArray[np.float32]:
    """Random views with the channels that the stage's own have, 64 x 64, or 16 x 24 x 32."""
    channels, *size = stage_of(stage).view(STUDY, stage_of(stage).patches(STUDY, before(TRUTH))[0]).shape
    shape = (64, 64) if len(size) == 2 else (16, 24, 32)
    return np.random.default_rng(seed).random((count, channels, *shape), dtype=np.float32)


def before(truth: Findings) -> Findings:
    """What the stages before would say if they were perfect: lungs, and which slices show them."""
    lung = truth.slices.lung if truth.slices is not None else np.zeros(0, np.float32)
    return Findings(truth.grid, lungs=truth.lungs, slices=replace(Slices.unknown(truth.grid.shape[0]), lung=lung))


# 1. A perfect network makes a perfect stage.


def perfect(stage: Learned, study: Study, truth: Findings) -> Findings:
    """What a stage records when its network answers with the targets."""
    known = before(truth)
    patches = stage.patches(study, known)
    assert len(patches) > 0
    return stage.postprocess(study, known, [(patch, stage.target(study, truth, patch)) for patch in patches])


def fine(name: str) -> Learned:
    """A stage at the resolution that it states: its own config."""
    return bundles.stage_classes()[name]()


@every_stage
@pytest.mark.parametrize("study", [STUDY, DARK], ids=["as it is", "lungs filled"])
def test_law_1_a_perfect_network_makes_a_perfect_stage(name: str, study: Study) -> None:
    scores = agreement(perfect(fine(name), study, TRUTH), TRUTH)
    assert scores, "the stage filled nothing that the truth knows"
    least = {"lungs": 0.8, "embolus": 0.85, "arteries": 0.9}
    for field, score in scores.items():
        assert score >= least.get(field, 0.97), (field, scores)


def elsewhere(patch: Patch) -> Patch:
    """A patch 36 mm to the side, and as far up where there is room."""
    if isinstance(patch, Block):
        z, y, x = patch.lattice.first
        return Block.of(patch.lattice.part((z + 18, y, x + 18), patch.lattice.shape))
    return replace(patch, z=min(patch.z + 14, 79), x=patch.x + 12)


@every_stage
def test_law_1_fails_when_answers_lie_at_another_place(name: str) -> None:
    stage = fine(name)
    known = before(TRUTH)
    patches = stage.patches(DARK, known)
    asked = [elsewhere(patch) for patch in patches]
    answers = [stage.target(DARK, TRUTH, patch) for patch in asked]
    scores = agreement(stage.postprocess(DARK, known, list(zip(patches, answers, strict=True))), TRUTH)
    assert min(scores.values()) < 0.8


# 2. Company changes nothing.


def company(net: Net, views: NDArray[np.float32], others: NDArray[np.float32]) -> tuple[bool, float]:
    """Whether order and neighbours leave every bit, and the largest change in a batch of another size."""
    together = net(views)
    turned = net(views[::-1])[::-1]
    among = net(np.concatenate([views[:1], others[1:]]))
    alone = net(views[:1])
    scale = max(float(np.abs(together).max()), 1.0)
    exact = np.array_equal(together, turned) and np.array_equal(together[0], among[0])
    return exact, float(np.abs(alone[0] - together[0]).max()) / scale


@every_network
def test_law_2_company_changes_nothing(stage: str, name: str) -> None:
    exact, apart = company(open_net(module_of(stage, name)), batch_for(stage), batch_for(stage, seed=1))
    assert exact
    assert apart <= 1e-5


@every_stage
def test_law_2_holds_for_the_answers_of_a_stage(name: str) -> None:
    stage = running(name)
    exact, apart = company(stage.predict, batch_for(name), batch_for(name, seed=1))
    assert exact
    assert apart <= 1e-5


def test_law_2_fails_when_a_network_looks_at_its_neighbours() -> None:
    broken = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    exact, _ = company(open_net(broken), batch_for("siamese"), batch_for("siamese", seed=1))
    assert not exact


# 3. What is saved is what runs.


def bundle_of(stage: str, name: str) -> Bundle:
    config = bundles.stage_classes()[stage].Config()  # type: ignore[attr-defined]  # each has one
    network = Network.of(name, small_arguments(stage, name), module_of(stage, name))
    return Bundle("one", (StageEntry(stage, config, (network,)),))


@every_network_as_a_file
def test_law_3_what_is_saved_is_what_runs(stage: str, name: str, tmp_path: Path) -> None:
    saved = save(bundle_of(stage, name), tmp_path)
    loaded = load(tmp_path)
    rounded = build(network_table(stage), name, small_arguments(stage, name)).eval()
    state = module_of(stage, name).state_dict()
    rounded.load_state_dict(
        {k: v.half().float() if v.ndim > 1 and v.is_floating_point() else v for k, v in state.items()}
    )
    view = torch.from_numpy(batch_for(stage, 2))
    with torch.inference_mode():
        assert torch.equal(rounded(view), loaded.stages[0].networks[0].module(stage)(view))
    assert loaded == replace(saved, folder=loaded.folder)


@every_network_as_a_file
def test_law_3_one_changed_byte_a_missing_file_and_another_class_are_refused(
    stage: str, name: str, tmp_path: Path
) -> None:
    save(bundle_of(stage, name), tmp_path)
    path = tmp_path / f"{stage}.{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="was changed"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(BundleError, match="is missing"):
        load(tmp_path)
    other = next(n for s, n in NETWORKS if n != name)
    claimed = Network(
        name, small_arguments(stage, name), pack(unpack(bundle_of(stage, name).stages[0].networks[0].blob), other, {})
    )
    save(Bundle("one", (replace(bundle_of(stage, name).stages[0], networks=(claimed,)),)), tmp_path)
    with pytest.raises(BundleError, match=f"holds '{other}'"):
        load(tmp_path)


# 4. The patient does not move.


@functools.cache
def answer_of(name: str) -> Findings:
    return running(name)(STUDY, before(TRUTH))


@every_stage
@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(order=orders)
def test_law_4_the_order_of_the_file_changes_nothing(
    name: str, order: tuple[tuple[int, int, int], tuple[bool, bool, bool]]
) -> None:
    study = stored(STUDY, *order)
    assert np.array_equal(study.hu, STUDY.hu)
    assert np.allclose(study.grid.affine, STUDY.grid.affine)
    found = running(name)(study, replace(before(TRUTH), grid=study.grid))
    assert max(differences(found, answer_of(name)).values()) <= 1e-5


NZ, NY, NX = STUDY.grid.shape
INNER = Box(0, NZ, 7, NY - 5, 3, NX - 4)
"""The body; the rest of the slices is air."""


def seen_apart(name: str, whole: Study, part: Study) -> float:
    """The largest difference between what a network sees of a study and of its part."""
    stage = running(name)
    patches = [stage.patches(one, known) for one, known in ((whole, before(TRUTH)), (part, moved_truth(part)))]
    assert [patch.z for patch in patches[0]] == [patch.z for patch in patches[1]]
    pairs = list(zip(*patches, strict=True))
    return max(float(np.abs(stage.view(whole, a) - stage.view(part, b)).max()) for a, b in pairs[:: len(pairs) // 4])


def moved_truth(part: Study) -> Findings:
    return moved(before(TRUTH), INNER, part.grid)


@every_stage
def test_law_4_a_network_sees_the_same_where_air_is_cropped_away(name: str) -> None:
    # Noisy air becomes even air: at most 65 HU of a lung window's 1500.
    assert seen_apart(name, STUDY, cropped(STUDY, INNER)) < 0.06


@every_stage
def test_law_4_air_that_is_cropped_away_changes_no_finding(name: str) -> None:
    part = cropped(STUDY, INNER)
    found = running(name)(part, moved_truth(part))
    far = differences(found, moved(answer_of(name), INNER, part.grid))
    assert far, "the stage filled nothing"
    assert all(value <= (0.05 if field == "lungs" else 0.02) for field, value in far.items()), far


@settings(max_examples=4, deadline=None, derandomize=True)
@given(order=orders)
def test_law_4_lesions_keep_their_side_and_place(order: tuple[tuple[int, int, int], tuple[bool, bool, bool]]) -> None:
    study = stored(STUDY, *order)
    expected = Fusion(parameters())(STUDY, TRUTH)
    found = Fusion(parameters())(study, replace(TRUTH, grid=study.grid))
    assert same(found.lesions, expected.lesions)
    assert {lesion.side for lesion in found.lesions or ()} == {"right", "left"}


def test_law_4_a_nifti_file_holds_the_same_patient(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    from cascade.reading import read

    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    for flips in ((False, False, False), (True, False, True)):
        study = stored(STUDY, (2, 1, 0), flips)
        path = tmp_path / f"{flips[0]}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(study.grid.to_source(study.hu), to_ras @ study.grid.source_affine), path)
        got = read(path)
        assert np.array_equal(got.hu, STUDY.hu)
        assert np.allclose(got.grid.affine, STUDY.grid.affine, atol=1e-3)


def test_law_4_fails_when_a_lattice_is_anchored_in_indices() -> None:
    class Drifting(Grid):
        def patch(self, z: int, centre: tuple[float, float], pixel_mm: float, size: tuple[int, int]) -> Patch:
            step = (pixel_mm / self.spacing[1], pixel_mm / self.spacing[2])
            return Patch(z, 0.0, 0.0, step, size)

    part = cropped(STUDY, INNER)
    drifting = [replace(s, grid=Drifting(s.grid.shape, s.grid.affine)) for s in (STUDY, part)]
    assert seen_apart("embolus", *drifting) > 0.3


# 5. Same on every runtime.


@every_network_as_a_file
def test_law_5_openvino_answers_as_torch_does(stage: str, name: str) -> None:
    views = batch_for(stage, 2)
    expected = open_net(module_of(stage, name))(views)
    got = open_net(module_of(stage, name), runtime="openvino")(views)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-4 * max(float(np.abs(expected).max()), 1.0)


def test_law_5_fails_when_a_network_answers_otherwise_after_compilation() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + (1.0 if torch.jit.is_tracing() else 0.0)

    views = batch_for("siamese", 1)
    assert np.abs(open_net(Broken())(views) - open_net(Broken(), runtime="openvino")(views)).max() > 0.5


def views_of(stage: Learned, count: int) -> NDArray[np.float32]:
    """Views from the middle of the chest, as many as a small batch."""
    patches = stage.patches(STUDY, before(TRUTH))
    chosen: Iterable[Any] = patches[:: max(len(patches) // count, 1)][:count]
    return np.stack([stage.view(STUDY, patch) for patch in chosen])


@pytest.fixture
def shipped() -> Bundle:
    """The bundle that comes with the package."""
    try:
        return load()
    except BundleError as error:
        pytest.skip(error.text)


@pytest.mark.parametrize("runtime", ["openvino", "openvino-bf16"])
def test_law_5_the_shipped_weights_answer_alike_on_every_runtime(shipped: Bundle, runtime: str) -> None:
    for reference, fast in zip(shipped.open("torch", "cpu"), shipped.open(runtime, "cpu"), strict=True):
        views = views_of(reference, 4)
        expected, got = reference.predict(views), fast.predict(views)
        if reference.name == "lung_detector":
            sure = expected[..., 4:].max(axis=-1) > 0.3
            assert sure.any(), "no box to compare"
            # A score may move so far in bfloat16, 8 bits of every number, as long as the boxes stay.
            assert np.abs(got[..., 4:] - expected[..., 4:])[sure].max(initial=0) <= 0.05
            assert np.abs(got[..., :4] - expected[..., :4])[sure].max(initial=0) <= 1.0  # pixels
        elif expected.ndim == 2:
            assert np.abs(got - expected).max() <= 0.01, reference.name
        else:
            assert (expected[:, :2] >= 0.5).sum() >= 50, "no mask to compare"
            for channel in range(2):
                masks = [one[:, channel] >= 0.5 for one in (got, expected)]
                assert masks[1].sum() < 50 or dice(*masks) >= 0.98
            assert np.abs(got - expected).mean() <= 0.002


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "openvino-bf16"])
def test_law_5_the_shipped_cascade_decides_alike_on_every_runtime(shipped: Bundle, runtime: str) -> None:
    expected, got = (
        Cascade(shipped.open(name, "cpu"), shipped, Choice(name, "cpu"))(STUDY) for name in ("torch", runtime)
    )
    assert expected.exam is not None
    assert got.exam is not None
    assert got.exam.decision == expected.exam.decision
    if expected.exam.probability is not None:
        assert got.exam.probability == pytest.approx(expected.exam.probability, abs=0.01)
    masks = [one.mask() for one in (got, expected)]
    assert masks[1].sum() >= 50, "no mask to compare"
    assert dice(*masks) >= 0.98
