"""The three networks, against the papers' figures and torchvision."""

import math

import pytest
import torch
import torchvision
from torch import nn

from alexnet.network.model import VARIANTS, AlexNetCifar, AlexNetImageNet2012, AlexNetOneWeirdTrick
from alexnet.network.summary import num_parameters, summarize

VARIANT_CLASSES = list(VARIANTS.values())


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        (AlexNetCifar, 58_322_314),
        (AlexNetImageNet2012, 60_965_224),
        (AlexNetOneWeirdTrick, 61_100_840),
    ],
)
def test_number_of_parameters(variant, parameters):
    with torch.device("meta"):
        model = variant()
    assert num_parameters(model) == parameters
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_one_weird_trick_equals_torchvision_bit_for_bit():
    theirs = torchvision.models.alexnet(weights=None).eval()
    ours = AlexNetOneWeirdTrick().eval()
    # Same layers in the same order under other names.
    weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(weights))
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("variant", VARIANT_CLASSES)
def test_layers_run_in_the_order_in_which_they_are_registered(variant):
    """The table is derived from the order of registration; hooks on real tensors see the truth."""
    model = variant(num_classes=7).eval()
    ran = []
    for name, layer in model.named_children():
        layer.register_forward_hook(
            lambda layer, args, output, name=name: ran.append((name, tuple(output.shape[1:])))
        )
    with torch.inference_mode():
        model(torch.zeros(1, 3, model.image_size, model.image_size))
    with torch.device("meta"):
        rows = summarize(variant(num_classes=7))
    assert ran == [(row.name, row.output_shape) for row in rows]


@pytest.mark.parametrize("variant", VARIANT_CLASSES)
def test_smallest_size_is_the_smallest_that_the_layers_allow(variant, monkeypatch):
    model = variant(num_classes=3, in_channels=1).eval()
    size = model.smallest_size
    with torch.inference_mode():
        assert model(torch.zeros(1, 1, size, size)).shape == (1, 3)
        with pytest.raises(ValueError, match=f"at least {size}x{size}|{size}x{size} to"):
            model(torch.zeros(1, 1, size - 1, size))
        # Without our check the layers themselves refuse it.
        monkeypatch.setattr(variant, "check_image_size", lambda *size: None)
        with pytest.raises(RuntimeError):
            model(torch.zeros(1, 1, size - 1, size))


def test_largest_size_is_the_largest_that_the_layers_allow(monkeypatch):
    model = AlexNetImageNet2012(num_classes=3).eval()
    size = model.largest_size
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 3)
        with pytest.raises(ValueError, match="227x227 to 258x258"):
            model(torch.zeros(1, 3, size + 1, size))
        monkeypatch.setattr(AlexNetImageNet2012, "check_image_size", lambda *size: None)
        with pytest.raises(RuntimeError):
            model(torch.zeros(1, 3, size + 1, size))


@pytest.mark.parametrize("size", [27, 48, 64])
def test_cifar_takes_any_larger_size(size):
    with torch.inference_mode():
        assert AlexNetCifar().eval()(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_wrong_channels_are_refused():
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\), got \(1, 3, 32, 32\)"):
        AlexNetCifar(in_channels=1)(torch.zeros(1, 3, 32, 32))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes"):
        AlexNetCifar(num_classes=1)


@pytest.mark.parametrize("variant", VARIANT_CLASSES)
@pytest.mark.parametrize("num_classes", [10, 1000])
def test_initial_loss_is_near_that_of_knowing_nothing(variant, num_classes):
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
