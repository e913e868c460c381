from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cascade.bundle import Bundle, Network, disk, inputs_of, load, network_table, save, subset_name
from cascade.bundle.weights import pack, unpack
from cascade.core.errors import BundleError
from cascade.core.registry import build
from cascade.fusion import Gates
from cascade.pipeline import Cascade
from tests.small_bundle import SMALL, entry, network, parameters, small_bundle

FILE = "siamese.siamese.safetensors"


@pytest.fixture(scope="module")
def whole() -> Bundle:
    return small_bundle("siamese", "embolus")


@pytest.fixture
def folder(tmp_path: Path, whole: Bundle) -> Path:
    save(whole, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def refused(folder: Path, words: str) -> str:
    with pytest.raises(BundleError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_loaded_is_what_was_saved(folder: Path, whole: Bundle) -> None:
    loaded = load(folder)
    assert loaded.stages == whole.stages
    assert loaded.facts == whole.facts
    again = save(loaded, folder.with_name("again"))
    assert again.sha256 == loaded.sha256
    for path in folder.iterdir():
        assert path.read_bytes() == (folder.with_name("again") / path.name).read_bytes()


def test_loaded_networks_answer_with_the_same_bits(folder: Path, whole: Bundle) -> None:
    view = torch.rand(2, 7, 32, 32, generator=torch.Generator().manual_seed(0))
    for before, after in zip(whole.stages[1].networks, load(folder).stages[1].networks, strict=True):
        with torch.inference_mode():
            assert torch.equal(before.module("embolus")(view), after.module("embolus")(view))


def test_two_members_of_one_architecture_are_kept_apart(tmp_path: Path) -> None:
    name, arguments = "tiny_attention_resunet", {"width": 4}
    twins = tuple(network("embolus", name, arguments, seed) for seed in (0, 1))
    save(Bundle("twins", (replace(entry("embolus"), networks=twins),)), tmp_path / "bundle")
    loaded = load(tmp_path / "bundle")
    assert [net.sha256 for net in loaded.stages[0].networks] == [net.sha256 for net in twins]
    (stage,) = loaded.open("torch", "cpu")
    assert list(stage.nets) == [name, f"{name}-2"]


def test_a_half_trained_bundle_loads_with_the_stages_it_has(tmp_path: Path) -> None:
    save(small_bundle("embolus"), tmp_path)
    assert load(tmp_path).names == ("embolus",)


def test_stages_come_in_the_order_of_the_cascade() -> None:
    made = Bundle()
    for name in reversed(SMALL):
        made = made.with_stage(replace(entry("siamese"), stage=name))
    assert made.names == ("lung_detector", "lung_filter", "siamese", "embolus")


def test_a_run_folder_stands_for_the_bundle_in_it(folder: Path) -> None:
    assert load(folder.parent).sha256 == load(folder).sha256


def test_a_bundle_with_one_changed_byte_is_refused(folder: Path) -> None:
    content = bytearray((folder / FILE).read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[place] ^= 1
        (folder / FILE).write_bytes(changed)
        refused(folder, f"E_BUNDLE_CHANGED: .*{FILE} was changed")


def test_a_bundle_with_a_missing_file_is_refused(folder: Path) -> None:
    (folder / FILE).unlink()
    refused(folder, f"{FILE} is missing")
    (folder / "manifest.json").unlink()
    refused(folder, "manifest.json is missing")


def test_a_manifest_that_is_cut_off_is_refused(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text[: len(text) // 2])
    refused(folder, "E_MANIFEST: .*not JSON")


def test_a_manifest_of_another_format_is_refused(folder: Path) -> None:
    edit(folder, lambda m: m.update(format=2))
    refused(folder, "E_FORMAT: .*format 2, this version reads 1")


def test_a_manifest_that_lacks_a_field_is_refused(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][0].pop("networks"))
    refused(folder, "E_MANIFEST: .*networks")


@pytest.mark.parametrize("name", ["os:system", "cascade.core.errors:UsageError", "builtins:eval", "torch.hub:load"])
def test_a_manifest_cannot_name_other_code(folder: Path, name: str) -> None:
    edit(folder, lambda m: m["stages"][0]["networks"][0].update(name=name))
    refused(folder, "E_UNKNOWN_NETWORK")
    edit(folder, lambda m: m["stages"][0].update(name=name, stage=name))
    refused(folder, "E_UNKNOWN_STAGE")


def test_a_network_of_another_package_is_refused_with_the_nearest_name(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][0]["networks"][0].update(name="siamesee"))
    refused(folder, "unknown network 'siamesee'; did you mean 'siamese'")
    edit(folder, lambda m: m["stages"][0]["networks"][0].update(name="yolo"))
    refused(folder, "unknown network 'yolo'")


def test_an_unknown_key_of_a_config_is_refused_with_the_nearest_name(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][0]["config"].update(stride=1.0))
    refused(folder, "siamese.config.stride is unknown; did you mean 'stride_mm'")


def test_a_config_value_of_another_type_is_refused(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][0]["config"].update(size="224"))
    refused(folder, "siamese.config.size must be int, got '224'")


@pytest.mark.parametrize("file", ["../other/x.safetensors", "/etc/passwd", "a/b.safetensors", "", "..", ".hidden"])
def test_a_manifest_cannot_reach_outside_its_folder(folder: Path, file: str) -> None:
    edit(folder, lambda m: m["stages"][0]["networks"][0].update(file=file))
    refused(folder, "only plain names")


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / FILE).rename(tmp_path / FILE)
    (folder / FILE).symlink_to(tmp_path / FILE)
    refused(folder, "points outside the bundle")


def test_arguments_that_differ_from_the_files_own_are_refused(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][0]["networks"][0]["arguments"].update(width=8))
    refused(folder, "E_WEIGHTS_DIFFER: .*the manifest says 'siamese' with")


def test_weights_of_another_class_are_refused(folder: Path) -> None:
    other = entry("embolus").networks[0]
    fake = replace(other, blob=pack(unpack(other.blob), "siamese", entry("siamese").networks[0].arguments))
    (folder / FILE).write_bytes(fake.blob)
    edit(folder, lambda m: m["stages"][0]["networks"][0].update(sha256=fake.sha256))
    with pytest.raises(BundleError, match=r"E_WEIGHTS_DIFFER: .*do not fit its class") as caught:
        load(folder).open("torch", "cpu")
    assert "\n" not in str(caught.value)


def test_arguments_that_the_class_does_not_take_are_refused() -> None:
    wrong = Network("siamese", {"widht": 4}, pack({}, "siamese", {"widht": 4}))
    with pytest.raises(BundleError, match="E_NETWORK_ARGUMENTS"):
        wrong.module("siamese")


def test_kernels_are_stored_in_sixteen_bits_and_statistics_in_full() -> None:
    kernel = np.full((2, 2), 0.1, np.float32)
    large = np.full((2, 2), 1e6, np.float32)
    tensors = {"kernel": kernel, "large": large, "running_var": np.full(2, 1e6, np.float32), "count": np.array(3)}
    back = unpack(pack(tensors, "any", {}))
    assert np.array_equal(back["kernel"], kernel.astype(np.float16).astype(np.float32))
    assert np.array_equal(back["large"], large)
    assert np.array_equal(back["running_var"], tensors["running_var"])
    assert back["count"] == 3
    assert all(value.dtype != np.float16 for value in back.values())


def test_arguments_left_to_the_class_are_stored_so_that_a_new_default_breaks_no_bundle() -> None:
    network = build(network_table("embolus"), "tiny_attention_resunet", {"width": 4})
    stored = Network.of("tiny_attention_resunet", {"width": 4}, network).arguments
    assert stored == {"slices": 7, "outputs": 2, "width": 4, "levels": 3}


def test_nothing_pickled_is_in_a_bundle(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_saving_over_a_bundle_replaces_it_and_leaves_no_old_file(folder: Path) -> None:
    (folder / "__init__.py").write_text("")
    save(small_bundle("siamese"), folder)
    assert load(folder).names == ("siamese",)
    assert sorted(p.name for p in folder.iterdir()) == ["__init__.py", "manifest.json", FILE]


def test_saving_over_something_else_is_refused(tmp_path: Path, whole: Bundle) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="holds no bundle"):
        save(whole, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_save_that_is_cut_off_leaves_no_bundle(
    tmp_path: Path, whole: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(bundle: Bundle) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "_manifest", fail)
    with pytest.raises(KeyboardInterrupt):
        save(whole, tmp_path / "new")
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        load(tmp_path / "new")


def test_the_fusion_of_each_subset_comes_back(tmp_path: Path, whole: Bundle) -> None:
    fitted = {"siamese+embolus": parameters(), "embolus": parameters(0.3, 0.7, inputs=("lesion",))}
    saved = save(whole.with_fusion(fitted), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["operating_points"]["rule_in"]["threshold"] == 0.8
    assert set(manifest["fusion"]) >= {"inputs", "coefficients", "calibration", "subsets"}
    assert load(tmp_path).fusion == saved.fusion == fitted


def test_a_fusion_with_an_unknown_field_is_refused(folder: Path) -> None:
    edit(folder, lambda m: m["fusion"].update(intercpt=1.0, inputs=[]))
    refused(folder, "fusion.intercpt is unknown; did you mean 'intercept'")


def test_a_manifest_from_before_names_its_inputs_by_stage_once_it_is_loaded(tmp_path: Path) -> None:
    weights = {"lesion": 0.5, "siamese": 0.25, "filter": 0.125}
    before = parameters(inputs=tuple(weights), coefficients=weights, baselines=weights)
    save(
        small_bundle("lung_filter", "embolus").with_fusion({"lung_filter+embolus": before, "embolus": before}), tmp_path
    )
    edit(tmp_path, lambda m: m.pop("gates"))
    for fusion in load(tmp_path).fusion.values():
        assert fusion.inputs == ("lesion", "siamese", "lung_filter")
        assert fusion.coefficients == fusion.baselines == {"lesion": 0.5, "siamese": 0.25, "lung_filter": 0.125}
    assert load(tmp_path).gates == Gates()


def test_gates_and_constants_of_the_fusion_stand_in_the_manifest_and_are_a_bundles_own(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["gates"]["contrast_hu"] == 120.0
    edit(folder, lambda m: m["gates"].update(contrast_hu=150.0))
    assert load(folder).gates == Gates(contrast_hu=150.0)
    assert Cascade.load(folder, device="cpu", runtime="torch").fusion.gates.contrast_hu == 150.0
    again = save(load(folder), folder.with_name("again"))
    assert again.gates.contrast_hu == 150.0
    edit(folder, lambda m: m["gates"].update(contrast=1.0))
    refused(folder, "gates.contrast is unknown; did you mean 'contrast_hu'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"no_lesion": 1.0}, "fusion.no_lesion must be below 0, got 1"),
        ({"top_mm": 0.0}, "fusion.top_mm must be above 0, got 0"),
        ({"lesions": {"margin_mm": -1.0}}, "fusion.lesions.margin_mm must be above 0, got -1"),
    ],
)
def test_constants_that_mean_nothing_are_refused(
    tmp_path: Path, whole: Bundle, change: dict[str, Any], words: str
) -> None:
    save(whole.with_fusion({"siamese+embolus": parameters()}), tmp_path)
    edit(tmp_path, lambda m: m["fusion"].update(change))
    refused(tmp_path, words)


def test_the_fusions_inputs_follow_the_stages_and_the_last_stage_comes_first() -> None:
    assert inputs_of(list(SMALL)) == ("lesion", "volume", "siamese", "lung_filter")
    assert inputs_of(["lung_filter"]) == ("lung_filter",)
    assert inputs_of(["lung_detector"]) == ()


def test_a_new_stage_drops_the_fusions_that_were_fitted_with_the_old_one(whole: Bundle) -> None:
    fitted = whole.with_fusion({"siamese+embolus": parameters(), "embolus": parameters()})
    assert list(fitted.with_stage(entry("siamese", seed=1)).fusion) == ["embolus"]


def test_the_card_of_another_bundle_does_not_speak_for_a_stage_that_was_trained_anew(whole: Bundle) -> None:
    card = replace(whole, card="# Card\n").with_stage(entry("siamese", seed=1)).card
    assert card.startswith("> Stage `siamese` was trained anew")
    assert card.endswith("# Card\n")


def test_a_subset_has_one_name_whatever_the_order() -> None:
    assert subset_name(["embolus", "lung_detector", "siamese"]) == "lung_detector+siamese+embolus"


def test_the_default_bundle_is_found_or_its_absence_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "__file__", str(tmp_path / "cascade" / "bundle" / "disk.py"))
    with pytest.raises(BundleError, match="no default bundle"):
        load()
    save(small_bundle("siamese"), tmp_path / "weights")
    assert load().folder == tmp_path / "weights"
    save(small_bundle("embolus"), tmp_path / "cascade" / "weights")
    assert load().names == ("embolus",)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(fusion="none"),
        lambda m: m.update(stages=None),
        lambda m: m.pop("stages"),
        lambda m: m["stages"][0].update(networks=[]),
        lambda m: m["stages"][0]["networks"][0].update(input=5),
        lambda m: m["stages"][0]["config"].update(pixel_mm=float("nan")),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_one_sentence(
    folder: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edit(folder, change)
    refused(folder, "E_MANIFEST")


@pytest.mark.parametrize("wrong", [{"stride_mm": 0.0}, {"pixel_mm": -2.0}, {"size": 0}, {"size": 100}, {"iou": 2.0}])
def test_a_detector_that_could_look_nowhere_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    save(small_bundle("lung_detector"), tmp_path)
    edit(tmp_path, lambda m: m["stages"][0]["config"].update(wrong))
    refused(tmp_path, "E_MANIFEST|E_CONFIG")


def test_a_manifest_nested_without_end_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text("[" * 100_000)
    refused(folder, "E_MANIFEST")


def test_a_card_that_is_no_text_does_not_bar_the_networks(folder: Path) -> None:
    (folder / "card.md").write_bytes(b"\xff card")
    assert load(folder).card.endswith(" card")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["fusion"].update(inputs=["lesion", "vollume"]), "did you mean 'volume'"),
        (lambda f: f["operating_points"].pop("rule_in"), "all of rule_out, balanced, rule_in"),
        (lambda f: f["operating_points"]["rule_out"].update(threshold=0.99), "rule_out at most rule_in"),
        (lambda f: f["operating_points"]["rule_in"].update(threshold=7.0), "must be probabilities"),
    ],
)
def test_a_fusion_that_could_not_answer_is_refused(
    tmp_path: Path, whole: Bundle, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    save(whole.with_fusion({"siamese+embolus": parameters()}), tmp_path)
    edit(tmp_path, change)
    refused(tmp_path, words)


def test_a_network_that_does_not_take_its_input_is_refused_when_it_is_opened(folder: Path) -> None:
    edit(folder, lambda m: m["stages"][1]["networks"][0].update(input=[5, 64, 64]))
    with pytest.raises(BundleError, match=r"cannot be opened with input \(5, 64, 64\).*looks at 7 slices"):
        load(folder).open("openvino", "cpu")
