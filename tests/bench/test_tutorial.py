"""The tutorial's loop trains the same network on the same images with PyTorch's defaults."""

import pytest
import torch
from torch.utils.data import RandomSampler
from torch.utils.flop_counter import FlopCounterMode

from alexnet.network.summary import summarize, training_flops
from alexnet.training.augmentation import Augmentation
from bench import tutorial
from bench.plain import build_plain
from tests.runs import settings

from .conftest import CPU

pytestmark = pytest.mark.usefixtures("here")


def loader(digits, metadata, num_images, batch_size):
    images, labels = (part[:num_images] for part in digits)
    return tutorial.make_loader(images, labels, metadata, batch_size, CPU)


@pytest.mark.slow
def test_it_trains_on_every_image_in_every_epoch(digits, metadata):
    torch.manual_seed(0)
    model, seen = build_plain(metadata, dropout=0.0), []
    losses = tutorial.train(model, loader(digits, metadata, 10, 8), CPU, 4, seen.append)
    assert seen == [8, 2] * 4
    assert losses[-1] < losses[0]


def test_its_optimizer_is_plain_sgd_in_float32(metadata):
    model = build_plain(metadata, dropout=0.0)
    optimizer = tutorial.make_optimizer(model)
    assert type(optimizer) is torch.optim.SGD
    (group,) = optimizer.param_groups
    assert not group["fused"]
    assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)
    assert len(group["params"]) == len(list(model.parameters()))
    for parameter in group["params"]:
        assert parameter.dtype == torch.float32
        assert parameter.is_contiguous()


def test_its_loader_holds_the_given_images(digits, metadata):
    """In an order drawn anew for each epoch."""
    images, labels = (part[:20] for part in digits)
    given = loader(digits, metadata, 20, 8)
    assert torch.equal(torch.from_numpy(given.dataset.images), images)
    assert given.dataset.labels == labels.tolist()
    assert isinstance(given.sampler, RandomSampler)
    assert sorted(given.sampler) == list(range(20))


def test_its_augmentation_is_ours(metadata):
    """Crop, flip and normalisation give the same set of pictures of an image."""
    images = torch.randint(256, (1, 32, 32, 3), dtype=torch.uint8)
    offsets = torch.arange(-4, 5)
    values = torch.cartesian_prod(offsets, offsets, torch.arange(2)).float()
    params = settings(crop_padding=4, hflip="random")
    augmentation = Augmentation(images, metadata.mean, metadata.std, params, CPU)
    given = values  # top, left, mirrored
    ours = augmentation(images.expand(len(values), -1, -1, -1), given)

    dataset = tutorial.make_loader(images, torch.zeros(1), metadata, 1, CPU).dataset
    for _ in range(5):
        picture, _ = dataset[0]
        differences = (ours - picture).abs().amax(dim=(1, 2, 3))
        assert differences.min() < 1e-5


def test_grey_images(metadata):
    images = torch.randint(256, (1, 32, 32, 1), dtype=torch.uint8)
    grey = type(metadata)("cifar", metadata.classes, 32, mean=(0.5,), std=(0.25,))
    picture, _ = tutorial.make_loader(images, torch.zeros(1), grey, 1, CPU).dataset[0]
    assert picture.shape == (1, 32, 32)


@pytest.mark.slow
def test_its_operations_are_those_of_the_full_network(digits, metadata):
    """By PyTorch's own count of a step."""
    model = build_plain(metadata, dropout=0.0)
    with FlopCounterMode(display=False) as counter:
        tutorial.train(model, loader(digits, metadata, 2, 2), CPU, 1, lambda num_images: None)
    assert counter.get_total_flops() == 2 * training_flops(summarize(model))
