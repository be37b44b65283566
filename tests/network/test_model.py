"""The three networks, against the papers' numbers and torchvision."""

import math

import pytest
import torch
import torchvision
from torch import nn

from alexnet.network.model import VARIANTS, AlexNetCifar, AlexNetImageNet2012, AlexNetOneWeirdTrick

VARIANT_CLASSES = list(VARIANTS.values())


def test_one_weird_trick_equals_torchvision_bit_for_bit():
    theirs = torchvision.models.alexnet(weights=None).eval()
    ours = AlexNetOneWeirdTrick().eval()
    # Same layers in the same order under other names.
    weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(weights))
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("variant", "limit", "beyond"),
    [
        (AlexNetCifar, 27, -1),
        (AlexNetOneWeirdTrick, 63, -1),
        (AlexNetImageNet2012, 227, -1),
        (AlexNetImageNet2012, 258, 1),
    ],
)
def test_the_limits_of_the_image_size_are_those_of_the_layers(variant, limit, beyond, monkeypatch):
    model = variant(num_classes=3, in_channels=1).eval()
    assert limit == (model.smallest_size if beyond < 0 else model.largest_size)
    outside = torch.zeros(1, 1, limit + beyond, limit)
    with torch.inference_mode():
        assert model(torch.zeros(1, 1, limit, limit)).shape == (1, 3)
        with pytest.raises(ValueError, match=f"at least {limit}x{limit}|227x227 to 258x258"):
            model(outside)
        # Without the check the layers themselves raise.
        monkeypatch.setattr(variant, "check_image_size", lambda *size: None)
        with pytest.raises(RuntimeError):
            model(outside)


@pytest.mark.parametrize("size", [27, 48, 64])
def test_cifar_takes_any_larger_size(size):
    with torch.inference_mode():
        assert AlexNetCifar().eval()(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_wrong_channels_and_too_few_classes_are_errors():
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\), got \(1, 3, 32, 32\)"):
        AlexNetCifar(in_channels=1)(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="at least 2 classes"):
        AlexNetCifar(num_classes=1)


@pytest.mark.parametrize("variant", VARIANT_CLASSES)
@pytest.mark.parametrize("num_classes", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_initial_loss_is_near_that_of_uniform_probabilities(variant, num_classes):
    torch.manual_seed(0)
    model = variant(num_classes).eval()
    x = torch.randn(16, 3, model.image_size, model.image_size)
    labels = torch.arange(16) % num_classes
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(model(x), labels).item()
    assert loss == pytest.approx(math.log(num_classes), abs=0.3)


def test_local_response_normalisation_is_the_papers():
    """Section 3.3: b = a / (k + alpha * sum of a^2 over 5 neighbouring maps) ^ beta."""
    lrn = AlexNetImageNet2012(num_classes=2).lrn1
    a = torch.rand(1, 8, 2, 2, dtype=torch.float64) * 100
    expected = torch.empty_like(a)
    for i in range(8):
        window = a[:, max(0, i - 2) : i + 3]
        expected[:, i] = a[:, i] / (2 + 1e-4 * (window**2).sum(dim=1)) ** 0.75
    torch.testing.assert_close(lrn(a), expected)
