from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cascade.cli.main import main
from cascade.core.files import is_done
from cascade.core.findings import Findings
from cascade.core.study import Study

CAPSYS = pytest.CaptureFixture[str]


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments), "--runtime", "torch"])


def left_nothing(folder: Path, *but: str) -> bool:
    """Neither OUT nor a half of it."""
    return {path.name for path in folder.iterdir()} <= set(but)


def refused(capsys: CAPSYS) -> str:
    """The one sentence on stderr."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: E_")
    assert said.err.count("\n") == 1
    return said.err


def test_an_answer_is_whole_and_a_pipe_hears_nothing(study: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert run(study, "-o", tmp_path / "out", "--bundle", bundle) == 0
    assert is_done(tmp_path / "out")
    assert left_nothing(tmp_path, "out")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_json_prints_the_findings_and_nothing_else(study: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert run(study, "-o", tmp_path / "out", "--bundle", bundle, "--json", "--formats", "json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "findings.json").read_text())
    assert not (tmp_path / "out" / "report.html").exists()


def test_an_operating_point_and_stages_to_leave_out_are_given_on_the_command_line(
    study: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS
):
    flags = ("--bundle", bundle, "--formats", "json")
    assert run(study, "-o", tmp_path / "point", *flags, "--operating-point", "rule_out") == 0
    exam = json.loads((tmp_path / "point" / "findings.json").read_text())["exam"]
    assert (exam["operating_point"], exam["decision"] in ("positive", "negative")) == ("rule_out", True)
    assert run(study, "-o", tmp_path / "less", *flags, "--without", "siamese, lung_filter") == 0
    found = json.loads((tmp_path / "less" / "findings.json").read_text())
    assert found["provenance"]["stages"] == ["lung_detector", "embolus"]
    assert run(study, "-o", tmp_path / "no", "--bundle", bundle, "--operating-point", "rule_inn") == 2
    assert "did you mean 'rule_in'?" in refused(capsys)
    assert run(study, "-o", tmp_path / "no", "--bundle", bundle, "--without", "siames") == 2
    assert "did you mean 'siamese'?" in refused(capsys)


def test_falling_back_on_the_cpu_is_said_in_run_json(
    slab: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cascade.runtime.device._gpus", lambda: (0, "no GPU was found"))
    assert main(["run", str(slab), "-o", str(tmp_path / "out"), "--bundle", str(bundle)]) == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["device_note"].endswith("no GPU was found")


def test_two_runs_of_a_study_differ_in_run_json_only(study: Path, bundle: Path, tmp_path: Path):
    for name in ("a", "b"):
        assert run(study, "-o", tmp_path / name, "--bundle", bundle) == 0
    for path in (tmp_path / "a").iterdir():
        if path.name not in ("run.json", "DONE"):
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_earlier_results_are_replaced_whole(study: Path, bundle: Path, tmp_path: Path):
    assert run(study, "-o", tmp_path / "out", "--bundle", bundle) == 0
    assert run(study, "-o", tmp_path / "out", "--bundle", bundle, "--formats", "json") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"findings.json", "run.json", "DONE"}


def test_verbose_says_at_most_ten_lines_in_a_pipe(study: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert run(study, "-o", tmp_path / "out", "--bundle", bundle, "-v") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert 2 <= said.err.count("\n") <= 10


def test_a_batch_with_a_bad_study_exits_4_and_keeps_the_good(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    out = tmp_path / "out"
    assert run(slab, tmp_path / "absent", "-o", out, "--bundle", bundle) == 4
    assert is_done(out / "slab")
    assert not (out / "absent").exists()
    assert "absent" in refused(capsys)


def test_two_studies_of_one_name_are_a_usage_error(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert run(slab, slab, "-o", tmp_path / "out", "--bundle", bundle) == 2
    assert "'slab'" in refused(capsys)


def test_one_changed_byte_of_a_weight_is_refused(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    broken = shutil.copytree(bundle, tmp_path / "broken")
    file = broken / "embolus.attention_resunet.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert run(slab, "-o", tmp_path / "out", "--bundle", broken) == 2
    assert "embolus.attention_resunet.safetensors was changed" in refused(capsys)
    assert left_nothing(tmp_path, "broken", "slab")


@pytest.mark.parametrize("name", ["os:system", "sklearn.svm:SVC", "attention_resunet2"])
def test_a_manifest_that_names_other_code_is_refused(
    name: str, slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS
):
    broken = shutil.copytree(bundle, tmp_path / "broken")
    manifest = broken / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"name": "attention_resunet"', f'"name": "{name}"'))
    assert run(slab, "-o", tmp_path / "out", "--bundle", broken) == 2
    assert "E_UNKNOWN_NETWORK" in refused(capsys)
    assert left_nothing(tmp_path, "broken", "slab")


def test_a_missing_weight_file_is_refused(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    broken = shutil.copytree(bundle, tmp_path / "broken")
    (broken / "siamese.siamese.safetensors").unlink()
    assert run(slab, "-o", tmp_path / "out", "--bundle", broken) == 2
    assert "siamese.siamese.safetensors is missing" in refused(capsys)
    assert left_nothing(tmp_path, "broken", "slab")


def test_a_study_that_is_not_there_exits_3(bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert run(tmp_path / "absent", "-o", tmp_path / "out", "--bundle", bundle) == 3
    assert "E_NOT_FOUND" in refused(capsys)
    assert left_nothing(tmp_path)


def test_a_folder_without_dicom_exits_3(bundle: Path, tmp_path: Path, capsys: CAPSYS):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("no pixels here")
    assert run(tmp_path / "letters", "-o", tmp_path / "out", "--bundle", bundle) == 3
    refused(capsys)
    assert left_nothing(tmp_path, "letters")


def test_a_lone_truncated_dicom_exits_3(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    whole = (slab / "ct_0001.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    assert run(tmp_path / "cut.dcm", "-o", tmp_path / "out", "--bundle", bundle) == 3
    refused(capsys)
    assert left_nothing(tmp_path, "cut.dcm", "slab")


def test_a_series_with_a_truncated_slice_leaves_nothing(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    file = slab / "ct_0012.dcm"
    file.write_bytes(file.read_bytes()[:-500])
    assert run(slab, "-o", tmp_path / "out", "--bundle", bundle) == 3
    refused(capsys)
    assert left_nothing(tmp_path, "slab")


def test_an_out_that_holds_other_files_is_left_alone(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    assert run(slab, "-o", tmp_path / "out", "--bundle", bundle) == 2
    refused(capsys)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "precious"


def test_an_unknown_device_is_a_usage_error(slab: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS):
    assert main(["run", str(slab), "-o", str(tmp_path / "out"), "--bundle", str(bundle), "-d", "abacus"]) == 2
    assert "E_DEVICE" in refused(capsys)


def test_a_batch_goes_on_after_an_error_of_ours(
    slab: Path, study: Path, bundle: Path, tmp_path: Path, capsys: CAPSYS, monkeypatch: pytest.MonkeyPatch
):
    from cascade import Cascade

    answer = Cascade.__call__

    def crash(cascade: Cascade, evidence: Study, *more: object) -> Findings:
        if len(evidence.hu) == 24:  # the slab
            raise RuntimeError("wires crossed")
        return answer(cascade, evidence, *more)

    monkeypatch.setattr(Cascade, "__call__", crash)
    assert run(slab, study, "-o", tmp_path / "out", "--bundle", bundle) == 4
    assert "wires crossed" in refused(capsys)
    assert is_done(tmp_path / "out" / "ct")
