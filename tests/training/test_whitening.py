"""The first convolution's start, against patches that are gathered one by one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image

from alexnet.network.model import AlexNetCifar, AlexNetOneWeirdTrick
from alexnet.training import whitening
from alexnet.training.whitening import EPS, whiten_first_layer
from tests.conftest import METADATA
from tests.runs import seeded, settings, trainer_of

SIZE = 63


@pytest.fixture(scope="module")
def photos():
    """Sections of a photograph: uint8 (60, 67, 67, 3), of which the network takes 63x63."""
    photo = torch.tensor(load_sample_image("china.jpg"))
    side = SIZE + 4
    sections = [
        photo[y : y + side, x : x + side] for y in range(0, 360, 60) for x in range(0, 560, 56)
    ]
    return torch.stack(sections)


def patches_of(images, metadata, starts):
    """(number, channels 11 11): at the rows and columns `starts`, as the network sees them."""
    edge = (images.shape[1] - metadata.image_size) // 2
    pixels = (images.numpy() / 255 - metadata.mean) / metadata.std
    found = [
        pixels[:, edge + y : edge + y + 11, edge + x : edge + x + 11]
        for y in starts
        for x in starts
    ]
    return np.concatenate(found).transpose(0, 3, 1, 2).reshape(len(images) * len(found), -1)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(
    # With a padding of 4 and a stride of 4 the first position in the image is 0, with 2 it is 2.
    ("variant", "starts"),
    [(AlexNetCifar, range(0, 53, 4)), (AlexNetOneWeirdTrick, range(2, 53, 4))],
)
def test_the_filters_whiten_the_patches(photos, channels, variant, starts):
    images = photos[..., :channels]
    mean, std = METADATA.mean[:channels], METADATA.std[:channels]
    metadata = replace(METADATA, image_size=SIZE, mean=mean, std=std)
    torch.manual_seed(0)
    model = variant(10, channels)
    whiten_first_layer(model, images, metadata)

    patches = patches_of(images, metadata, starts)
    values, vectors = np.linalg.eigh(np.cov(patches.T, bias=True))
    half = len(model.conv1.weight) // 2
    values, vectors = values[::-1][:half], vectors[:, ::-1][:, :half]
    weights = model.conv1.weight.detach().flatten(1).double().numpy()
    outputs = patches @ weights[:half].T
    # Variance 2 along each direction, but for the constant that was added.
    expected = 2 * np.diag(values / (values + EPS))
    np.testing.assert_allclose(np.cov(outputs.T, bias=True), expected, atol=1e-3)
    leading = abs((weights[:4] * vectors[:, :4].T).sum(axis=1))
    np.testing.assert_allclose(leading, np.sqrt(2 / (values[:4] + EPS)), rtol=1e-3)
    assert np.array_equal(weights[half:], -weights[:half])
    assert not model.conv1.bias.any()


@pytest.mark.slow
def test_of_large_images_as_many_are_read_as_have_enough_patches(photos, monkeypatch):
    """All are read in batches of one image."""
    monkeypatch.setattr(whitening, "BATCH_PATCHES", 1)
    monkeypatch.setattr(whitening, "MAX_PATCHES", 20 * 14**2 - 1)
    metadata = replace(METADATA, image_size=SIZE)
    few, all_of_them = seeded(make=AlexNetCifar), seeded(make=AlexNetCifar)
    whiten_first_layer(few, photos, metadata)
    whiten_first_layer(all_of_them, photos[::3], metadata)
    assert torch.equal(few.conv1.weight, all_of_them.conv1.weight)


@pytest.mark.slow
def test_where_patches_vary_in_few_directions_the_other_filters_stay(digits):
    """The digits are grey, of 4x4 equal pixels: a patch has 9 values at most."""
    model, before = seeded(make=AlexNetCifar), seeded(make=AlexNetCifar)
    whiten_first_layer(model, digits[0][:500], METADATA)
    changed = (model.conv1.weight != before.conv1.weight).flatten(1).any(dim=1).nonzero().flatten()
    number = len(changed)
    assert 8 <= number <= 18
    assert changed.tolist() == list(range(number))


def test_a_run_starts_from_it_near_the_loss_of_a_guess(digits):
    """The same bytes each time, whatever state random numbers are in."""
    params = settings(init="whitened", batch_norm="none")
    runs = []
    for _ in range(2):
        runs.append(trainer_of(seeded(make=AlexNetCifar), params))
        torch.rand(3)
    loss, _ = runs[0].validate(runs[0].val, runs[0].result())
    assert loss == pytest.approx(math.log(10), abs=0.05)
    weights = [run.network.conv1.weight for run in runs]
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], seeded(make=AlexNetCifar).conv1.weight)
