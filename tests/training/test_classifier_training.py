from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from cascade.core.errors import InputError, UsageError
from cascade.core.findings import Slices
from cascade.datasets import open_cases
from cascade.datasets.case import Case
from cascade.training import negatives
from cascade.training.arguments import saved_settings
from cascade.training.classifier import (
    TRAININGS,
    ClassifierTraining,
    LungFilterTraining,
    SiameseTraining,
    class_of,
    filled,
    refuse_one_class,
    slices_of,
    train_classifier,
    with_lung_slices,
)
from cascade.training.plan import Plan
from cascade.training.slices import SliceConfig
from classifiers import LungFilter
from classifiers.lung_filter import LungFilterConfig
from classifiers.siamese_stage import SiameseConfig
from tests.classifiers.chest import chest, truth

SMALL = LungFilter(config=LungFilterConfig(size=48, pixel_mm=8.0))


def case(name: str, known: bool = True) -> Case:
    study = chest()
    answer = truth(study)
    return Case(name, name, "real", study, answer if known else replace(answer, slices=None))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ([0, np.nan], "no_lung"),
        ([0, 0], "no_lung"),
        ([1, np.nan], "lung"),
        ([1, 0], "no_embolus"),
        ([1, 1], "embolus"),
        ([np.nan, 1], "unknown"),
        ([0], "no_embolus"),
        ([1], "embolus"),
    ],
)
def test_a_slice_is_classed_by_what_is_known_of_it(target: list[float], name: str) -> None:
    assert class_of(np.array(target, np.float32)) == name


def test_lung_slices_of_a_real_scan_are_those_with_five_square_centimetres() -> None:
    slices = with_lung_slices(case("a", known=False)).truth.slices
    assert slices is not None
    assert slices.lung.tolist() == [float(6 <= z < 18) for z in range(24)]


def test_a_truth_that_knows_its_lung_slices_keeps_them() -> None:
    one = case("a")
    assert with_lung_slices(one).truth.slices is one.truth.slices


def test_slices_near_five_square_centimetres_stay_unknown() -> None:
    study = chest()
    hu = study.hu.copy()
    hu[18, 36:44, 30:34] = -820  # 5.1 cm2 beside the lungs' end
    one = replace(case("a", known=False), study=replace(study, hu=hu))
    slices = with_lung_slices(one).truth.slices
    assert slices is not None
    assert np.isnan(slices.lung[18])


def test_filled_lungs_are_no_longer_low() -> None:
    planes = filled(case("a"), SMALL, 16, 4, np.random.default_rng(0))
    assert len(planes) >= 4
    for plane in planes:
        middle = plane.hu[24:40, 20:44]
        assert (middle < -300).mean() < 0.02
        assert plane.target.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("stage", "net", "told"),
    [
        ("siamese", "timm", "'timm' answers 2 questions where the stage asks 1; set arguments.outputs=1"),
        ("lung_filter", "siamese", "'siamese' answers 1 questions where the stage asks 2"),
    ],
)
def test_a_network_that_does_not_answer_its_stages_questions_is_refused_before_data_are_read(
    tmp_path: Path, stage: str, net: str, told: str
) -> None:
    arguments = {"model": "resnet18"} if net == "timm" else {}
    (tmp_path / "data").mkdir()
    settings = replace(TRAININGS[stage](), net=net, arguments=arguments)
    with pytest.raises(UsageError, match=told):
        train_classifier([tmp_path / "data"], [], tmp_path / "run", settings)


def test_a_network_built_for_another_size_of_picture_is_refused_with_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    settings = LungFilterTraining(net="timm", arguments={"model": "vit_tiny_patch16_224"})
    sentence = r"does not take samples of 3 x 192 x 192.*\(192\) doesn't match model \(224\)"
    with pytest.raises(UsageError, match=sentence):
        train_classifier([tmp_path / "data"], [], tmp_path / "run", settings)


def test_slices_of_one_class_alone_are_refused() -> None:
    refuse_one_class(["embolus", "no_embolus"])
    with pytest.raises(InputError, match=r"E_ONE_CLASS.*all slices are no_embolus"):
        refuse_one_class(["no_embolus"])


@pytest.mark.parametrize("wrong", [{"size": 3}, {"pixel_mm": 0.0}, {"stride_mm": -1.0}])
def test_pictures_that_cannot_be_cut_are_refused(wrong: dict[str, float]) -> None:
    for config in (LungFilterConfig, SiameseConfig):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            config(**wrong)  # type: ignore[arg-type]  # some are wrong on purpose


def test_every_made_slice_is_finite_and_in_the_range_of_a_scanner() -> None:
    rng = np.random.default_rng(0)
    for name, make in negatives.KINDS.items():
        for _ in range(8):
            hu = negatives.add_gas(make((96, 96), 4.0, rng), 4.0, rng)
            assert np.isfinite(hu).all(), name
            assert hu.min() > -1500, name
            assert hu.max() < 3071, name


def test_the_filters_pool_holds_slices_without_lung_of_several_kinds() -> None:
    pool = slices_of([case("a")], SMALL, SliceConfig(margin=16), most=10)
    kinds = {(class_of(plane.target), plane.kind) for plane in pool}
    assert kinds >= {("no_lung", "real"), ("no_lung", "filled"), ("no_lung", "made"), ("embolus", "real")}


@pytest.mark.data
def test_labelled_slices_are_cases_of_one_slice(shared: Path) -> None:
    cases = list(open_cases(shared / "real_slices"))
    lung = [c.truth.slices.lung[0] for c in cases if isinstance(c.truth.slices, Slices)]
    assert len(cases) == 76
    assert sum(lung) == 48
    assert all(c.study.grid.shape[0] == 1 for c in cases)


SHORT = Plan(steps=3, batch=2, evaluate_every=2)


@pytest.mark.parametrize(
    "settings",
    [
        LungFilterTraining(
            arguments={"name": "resnet10t"},
            imagenet=False,
            config=LungFilterConfig(size=64, pixel_mm=6.0),
            plan=SHORT,
        ),
        SiameseTraining(arguments={"width": 4}, config=SiameseConfig(size=64, pixel_mm=6.0), plan=SHORT),
    ],
    ids=lambda settings: settings.stage,
)
def test_a_short_training_ends_in_a_bundle_that_runs(tmp_path: Path, settings: ClassifierTraining) -> None:
    stage = settings.stage
    for folder, name in (("learn", "a"), ("held", "b")):
        (tmp_path / folder).mkdir()
        case(name).save(tmp_path / folder / f"{name}.case")
    bundle = train_classifier([tmp_path / "learn"], [tmp_path / "held"], tmp_path / "run", settings)
    arguments = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text())
    saved = saved_settings(type(settings), arguments, tmp_path / "run")
    assert saved == replace(settings, plan=replace(SHORT, precision=saved.plan.precision))
    assert bundle.names == (stage,)
    assert (tmp_path / "run" / "results.csv").read_text().count("\n") == 3
    (opened,) = bundle.open("torch", "cpu")
    study = chest()
    found = opened(study, replace(truth(study), slices=None)).slices
    assert found is not None
    assert np.isfinite(found.lung if stage == "lung_filter" else found.pe["siamese"]).all()


def test_a_patient_on_both_sides_of_the_split_is_refused(tmp_path: Path) -> None:
    case("a").save(tmp_path / "a.case")
    with pytest.raises(UsageError, match="validation"):
        train_classifier([tmp_path], [tmp_path], tmp_path / "run", SiameseTraining())


def test_kinds_that_draw_none_of_a_class_are_refused(tmp_path: Path) -> None:
    case("a").save(tmp_path / "a.case")
    slices = replace(SiameseTraining().slices, kinds={"real": 0.0})
    with pytest.raises(UsageError, match=r"slices\.kinds draws none of the slices of \w+, which are real"):
        train_classifier([tmp_path], [], tmp_path / "run", SiameseTraining(slices=slices))
