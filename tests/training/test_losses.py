from __future__ import annotations

from functools import partial

import pytest
import torch
from segmentation_models_pytorch import losses as libraries
from torchvision.ops import sigmoid_focal_loss

from cascade.core.errors import UsageError
from cascade.training.losses import LOSSES, SEGMENTATION, LossConfig, bce, focal, loss_of, symmetric, tversky

NAN = float("nan")
CONFIG = LossConfig(smooth=1.0)


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 1, 8, 8, generator=generator)
    target = (torch.rand(4, 1, 8, 8, generator=generator) < 0.2).float()
    return logits.requires_grad_(), target


@pytest.mark.parametrize("name", LOSSES)
def test_a_right_answer_costs_less_than_a_wrong_one(name: str) -> None:
    _, target = batch()
    right, unsure, wrong = (float(LOSSES[name](c * (target - 0.5), target, CONFIG)) for c in (20.0, 0.0, -20.0))
    assert right < unsure < wrong
    assert right < 0.05


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_target_has_a_loss_that_teaches_to_say_nothing(name: str) -> None:
    logits, target = batch()
    loss = LOSSES[name](logits, 0 * target, CONFIG)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad.sum()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_unknown_neither_counts_nor_teaches(name: str) -> None:
    logits, target = batch()
    whole = float(LOSSES[name](logits[:, :, :4], target[:, :, :4], CONFIG))
    target[:, :, 4:] = NAN
    loss = LOSSES[name](logits, target, CONFIG)
    assert float(loss) == pytest.approx(whole, rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:, :, 4:] == 0).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_of_which_nothing_is_known_has_a_loss_of_no_slope(name: str) -> None:
    logits, target = batch()
    LOSSES[name](logits, torch.full_like(target, NAN), CONFIG).backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_the_softmax_of_two_classes_is_the_binary_cross_entropy() -> None:
    logits, target = batch()
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    assert float(bce(logits, target)) == pytest.approx(
        float(torch.nn.functional.cross_entropy(two, target[:, 0].long())), rel=1e-5
    )


def test_focal_without_its_exponent_is_half_the_cross_entropy() -> None:
    logits, target = batch()
    half = focal(logits, target, LossConfig(focal_gamma=0, focal_alpha=0.5))
    assert float(half) == pytest.approx(0.5 * float(bce(logits, target)), rel=1e-5)


def test_a_wrong_label_pulls_less_with_the_reverse_cross_entropy_than_four_times() -> None:
    told, wrong = torch.tensor([[6.0]]), torch.tensor([[0.0]])
    reverse = symmetric(told, wrong, LossConfig()) - bce(told, wrong)
    assert float(reverse) == pytest.approx(4 * float(torch.sigmoid(told)), rel=1e-4)


def test_tversky_weighs_what_is_missed() -> None:
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    missed, false = torch.tensor([[20.0, -20, -20, -20]]), torch.tensor([[20.0, 20, 20, -20]])
    for beta, dearer in ((0.7, True), (0.3, False)):
        config = LossConfig(smooth=0.0, tversky_alpha=1 - beta, tversky_beta=beta)
        assert (float(tversky(missed, target, config)) > float(tversky(false, target, config))) is dearer


def test_the_hinge_of_lovasz_is_the_jaccard_loss_where_answers_are_sure() -> None:
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    told = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    # An error has a hinge of 2: the loss is twice 1 - 1/3.
    assert float(LOSSES["lovasz"](told, target, CONFIG)) == pytest.approx(2 * (1 - 1 / 3))


def test_terms_and_outputs_are_weighed() -> None:
    logits, target = batch()
    both = loss_of(LossConfig({"bce": 2.0, "dice": 0.5}))(logits, target)
    apart = [LOSSES[name](logits, target, LossConfig()) for name in ("bce", "dice")]
    assert float(both) == pytest.approx(2 * float(apart[0]) + 0.5 * float(apart[1]))
    pair, truth = torch.cat([logits, -logits, 0 * logits], 1), torch.cat([target, target, target], 1)
    weighed = loss_of(LossConfig({"bce": 1.0}, outputs=(1.0, 0.5)))(pair, truth)
    assert float(weighed) == pytest.approx(float(bce(logits, target)) + 0.5 * float(bce(-logits, target)))


def test_losses_are_those_of_libraries_where_these_have_them() -> None:
    logits, target = batch()
    config = LossConfig(smooth=0.0, tversky_gamma=4 / 3)
    tversky_of = partial(libraries.TverskyLoss, "binary", alpha=config.tversky_alpha, beta=config.tversky_beta)
    theirs = {
        "bce": torch.nn.functional.binary_cross_entropy_with_logits(logits, target),
        "focal": sigmoid_focal_loss(logits, target, config.focal_alpha, config.focal_gamma, reduction="mean"),
        "tversky": tversky_of()(logits, target),
        "focal_tversky": tversky_of(gamma=1 / config.tversky_gamma)(logits, target),
        "lovasz": libraries.LovaszLoss("binary", per_image=True)(logits[:, 0], target[:, 0]),
    }
    for name, loss in theirs.items():
        assert float(LOSSES[name](logits, target, config)) == pytest.approx(float(loss), rel=1e-4), name
    # Squares in the denominator say the same as none where answers are sure.
    sure = 40 * (torch.roll(target, 1, 3) - 0.5)
    assert float(LOSSES["dice"](sure, target, config)) == pytest.approx(
        float(libraries.DiceLoss("binary")(sure, target)), rel=1e-4
    )


def test_the_usual_loss_of_a_segmenter_is_dice_and_cross_entropy() -> None:
    assert LossConfig({"dice": 1.0, "bce": 5.0}, outputs=(1.0, 0.5)) == SEGMENTATION


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"terms": {"dise": 1.0}}, "did you mean 'dice'"),
        ({"terms": {"dice": -1.0}}, "must not be negative"),
        ({"terms": {}}, "no term"),
        ({"outputs": (0.0, 0.0)}, "no term"),
        ({"smooth": NAN}, "loss.smooth"),
        ({"focal_alpha": 2.0}, "1 at most"),
    ],
)
def test_a_loss_that_is_none_is_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"E_LOSS.*{sentence}"):
        LossConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
