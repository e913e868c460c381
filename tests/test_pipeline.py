from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cascade
import cascade.anatomy.lungs as lungs
from cascade import Cascade, InputError, Study, UsageError
from cascade.bundle import Bundle, load, save
from cascade.core.files import is_done
from cascade.core.progress import Timings
from cascade.pipeline import run_studies
from cascade.writing import write_nifti
from tests.small_bundle import SMALL, parameters, small_bundle
from tests.strategies import chest


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    fitted = {"+".join(SMALL): parameters(), "lung_detector+lung_filter+embolus": parameters(0.01, 0.02)}
    return small_bundle().with_fusion(fitted)


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "bundle"
    save(bundle, path)
    return path


@pytest.fixture(scope="module")
def whole(folder: Path) -> Cascade:
    return Cascade.load(folder, device="cpu", runtime="torch")


STUDY, _ = chest(spacing=(3.0, 4.0, 4.0))


def test_a_study_goes_through_every_stage_in_order(whole: Cascade) -> None:
    assert [stage.name for stage in whole.stages] == ["lung_finder", *SMALL, "fusion"]
    findings = whole(STUDY)
    assert findings.lungs is not None
    assert findings.slices is not None
    assert findings.embolus is not None
    assert findings.lesions is not None
    assert findings.exam is not None
    assert findings.exam.reason


def test_two_runs_of_one_study_give_equal_findings(whole: Cascade) -> None:
    assert whole(STUDY) == whole(STUDY)


def test_findings_say_what_they_come_from_and_hold_no_timings(whole: Cascade, folder: Path) -> None:
    provenance = whole(STUDY).provenance
    assert provenance["bundle"] == {"name": "small", "sha256": load(folder).sha256}
    assert provenance["stages"] == list(SMALL)
    assert provenance["study"] == STUDY.id
    assert not any(word in str(provenance) for word in ("seconds", "timings"))


def test_seconds_by_stage_are_measured_by_whoever_asks_and_a_run_leaves_nothing_behind(whole: Cascade) -> None:
    before = dict(vars(whole))
    timings = Timings()
    whole.run(STUDY, progress=timings)
    assert list(timings.seconds) == ["lung_finder", *SMALL, "fusion"]
    assert all(seconds >= 0 for seconds in timings.seconds.values())
    assert vars(whole) == before


def test_progress_is_made_known_stage_by_stage_up_to_its_total(whole: Cascade) -> None:
    calls: list[tuple[str, int, int]] = []
    whole(STUDY, lambda name, done, total: calls.append((name, done, total)))
    assert list(dict.fromkeys(name for name, _, _ in calls)) == ["lung_finder", *SMALL, "fusion"]
    last = {name: (done, total) for name, done, total in calls}
    assert all(done == total for done, total in last.values())


def test_a_cascade_without_a_stage_uses_the_fusion_that_was_fitted_for_it(whole: Cascade) -> None:
    less = whole.without("siamese")
    assert less.names == ("lung_detector", "lung_filter", "embolus")
    assert less.fusion.parameters == parameters(0.01, 0.02)
    assert whole.names == tuple(SMALL)


def test_a_cascade_whose_subset_was_not_fitted_abstains_and_says_so(whole: Cascade) -> None:
    findings = whole.without("lung_filter", "siamese")(STUDY)
    assert findings.exam is not None
    assert findings.exam.decision == "abstain"
    assert findings.exam.probability is None
    assert "W_FUSION_NOT_FITTED" in findings.exam.reason
    assert "W_FUSION_NOT_FITTED" in [note.code for note in findings.warnings]
    assert findings.lesions is not None


@pytest.mark.parametrize("left_out", [("lung_detector",), ("embolus",), tuple(SMALL)])
def test_any_stage_can_be_left_out(whole: Cascade, left_out: tuple[str, ...]) -> None:
    findings = whole.without(*left_out)(STUDY)
    assert findings.exam is not None
    assert findings.exam.decision == "abstain"
    assert (findings.lesions is None) == ("embolus" in left_out)


def test_leaving_out_an_unknown_stage_names_the_nearest(whole: Cascade) -> None:
    with pytest.raises(UsageError, match="did you mean 'siamese'"):
        whole.without("siames")


def test_a_saved_cascade_is_the_bundle_it_came_from(whole: Cascade, folder: Path, tmp_path: Path) -> None:
    whole.save(tmp_path / "copy")
    assert load(tmp_path / "copy").sha256 == load(folder).sha256
    whole.without("siamese").save(tmp_path / "less")
    less = Cascade.load(tmp_path / "less", device="cpu", runtime="torch")
    assert less.names == ("lung_detector", "lung_filter", "embolus")
    assert less.fusion.parameters == parameters(0.01, 0.02)


def test_a_training_run_folder_loads_like_its_bundle(folder: Path) -> None:
    assert Cascade.load(folder.parent, device="cpu", runtime="torch").names == tuple(SMALL)


def test_a_head_is_no_chest_and_gets_no_probability(whole: Cascade) -> None:
    study, _ = chest(lungs=False)
    findings = whole(study)
    assert findings.exam is not None
    assert findings.exam.decision == "abstain"
    assert findings.exam.probability is None
    assert "W_NOT_CHEST" in findings.exam.reason


def test_an_operating_point_gives_two_answers_and_an_unknown_one_is_refused(folder: Path) -> None:
    two = Cascade.load(folder, device="cpu", runtime="torch", operating_point="rule_in")
    exam = two(STUDY).exam
    assert exam is not None
    assert exam.decision in ("positive", "negative")
    assert exam.operating_point == "rule_in"
    with pytest.raises(UsageError, match="did you mean 'rule_out'"):
        Cascade.load(folder, device="cpu", runtime="torch", operating_point="ruleout")


def test_the_lungs_by_threshold_are_found_once_and_stand_in_the_findings(
    whole: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Study] = []
    find = lungs.find_lungs
    monkeypatch.setattr(lungs, "find_lungs", lambda study: calls.append(study) or find(study))
    findings = whole(STUDY)
    assert calls == [STUDY]
    assert findings.reference is not None
    assert np.array_equal(findings.reference.sides, find(STUDY).sides)


def test_scores_and_inputs_bear_the_names_of_the_stages_that_gave_them(whole: Cascade) -> None:
    findings = whole(STUDY)
    assert findings.slices is not None
    assert list(findings.slices.pe) == ["lung_filter", "siamese"]
    less = whole.without("lung_filter")(STUDY)
    assert less.slices is not None
    assert list(less.slices.pe) == ["siamese"]


def test_the_public_names_are_what_is_visible() -> None:
    assert dir(cascade) == sorted(cascade.__all__)
    for name in cascade.__all__:
        assert getattr(cascade, name) is not None
    with pytest.raises(AttributeError, match="attribute Cascde"):
        _ = cascade.Cascde


def test_importing_the_package_is_quick_and_imports_no_network_library() -> None:
    heavy = ("torch", "timm", "ultralytics", "openvino", "albumentations", "matplotlib", "segmentation_models_pytorch")
    script = "import sys, cascade; {}; import time; "
    script += f"print([m for m in {heavy!r} if m in sys.modules], time.process_time())"
    for names, seconds in (("0", 0.5), ("cascade.Cascade, cascade.detect", 3.0)):
        command = [sys.executable, "-c", script.format(names)]
        loaded, taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rsplit(maxsplit=1)
        assert loaded == "[]"
        assert float(taken) < seconds  # of the processor, Python's own start included


def test_a_study_that_is_held_is_run_like_one_that_is_read(whole: Cascade) -> None:
    assert whole.run(STUDY) == whole(STUDY)


@pytest.mark.parametrize("thing", [STUDY.hu, None, 7])
def test_what_is_no_study_is_answered_with_the_way_to_one(whole: Cascade, thing: object) -> None:
    with pytest.raises(UsageError, match="from_array"):
        whole.run(thing)  # type: ignore[arg-type]  # as a stranger calls it


def test_a_path_where_a_study_is_meant_names_run(whole: Cascade) -> None:
    with pytest.raises(UsageError, match=r"run\(\) takes a path"):
        whole("STUDY")  # type: ignore[arg-type]  # as a stranger calls it


def test_an_empty_path_was_the_current_folder(whole: Cascade) -> None:
    with pytest.raises(UsageError, match="E_USAGE: a study is named by a path, got ''"):
        whole.run("")
    with pytest.raises(UsageError, match="E_USAGE: a study is named by a path, got ''"):
        run_studies(whole, [""], "out")


def test_a_call_with_another_type_ended_in_a_raw_error() -> None:
    with pytest.raises(UsageError, match="E_DEVICE: device 0 is not known; say auto"):
        Cascade.load(device=0)  # type: ignore[arg-type]  # as a stranger calls it
    with pytest.raises(UsageError, match="E_RUNTIME: unknown runtime 0"):
        Cascade.load(runtime=0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="E_USAGE: a bundle is named by a path, got 0"):
        Cascade.load(0)  # type: ignore[arg-type]


def test_stages_from_no_bundle_are_not_saved_as_an_empty_one(whole: Cascade, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="came from no bundle"):
        Cascade(whole.learned).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two studies as files."""
    paths = [tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"]
    for path in paths:
        write_nifti(STUDY, path)
    return paths


def test_several_studies_are_answered_and_written_each_in_its_folder(
    whole: Cascade, files: list[Path], tmp_path: Path
) -> None:
    answers = list(run_studies(whole, [*files, tmp_path / "absent"], tmp_path / "out", formats=["json"]))
    assert [answer.out.name for answer in answers] == ["one", "two", "absent"]
    for answer in answers[:2]:
        assert is_done(answer.out)
        assert answer.result() == whole.run(answer.path)
    assert [answer.error is None for answer in answers] == [True, True, False]
    with pytest.raises(InputError, match="E_NOT_FOUND"):
        answers[2].result()
    assert not answers[2].out.exists()


def test_a_single_study_goes_to_the_folder_itself_with_its_seconds_by_stage(
    whole: Cascade, files: list[Path], tmp_path: Path
) -> None:
    (answer,) = run_studies(whole, files[:1], tmp_path / "out", spent={"loading": 1.5})
    assert answer.out == tmp_path / "out"
    told = json.loads((answer.out / "run.json").read_text())
    assert list(told["seconds"]) == ["loading", "reading", "lung_finder", *SMALL, "fusion"]
    assert told["seconds"]["loading"] == 1.5
    assert (told["runtime"], told["device"]) == ("torch", "cpu")


def test_an_unknown_format_and_a_path_for_a_list_are_refused_at_the_call(
    whole: Cascade, files: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="jsn"):
        run_studies(whole, files, tmp_path / "out", formats=["jsn"])
    with pytest.raises(UsageError, match="a list of paths"):
        run_studies(whole, str(files[0]), tmp_path / "out")  # type: ignore[arg-type]  # as a stranger calls it


def test_a_cascade_is_not_saved_in_the_place_of_a_file(whole: Cascade, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        whole.save(tmp_path / "file")


def test_studies_of_one_name_are_refused_before_the_first_is_read(
    whole: Cascade, files: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="'one'"):
        next(run_studies(whole, [files[0], files[0]], tmp_path / "out"))
    assert not (tmp_path / "out").exists()
