"""The expert's loop trains the same network on the same pictures, as fast as plain PyTorch can."""

import copy
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from alexnet.training.device import DeviceConfig
from bench import expert, tutorial
from tests.runs import narrow

from .conftest import CPU

FLOAT32 = DeviceConfig(CPU, torch.float32)


def test_its_augmentation_is_the_tutorials(metadata):
    """Every crop and flip that the tutorial draws comes, each about as often, and no other."""
    images, labels = torch.randint(256, (1, 32, 32, 3), dtype=torch.uint8), torch.zeros(1)
    dataset = tutorial.make_loader(images, labels, metadata, 1, CPU).dataset
    torch.manual_seed(0)
    theirs = {key(dataset[0][0]) for _ in range(1800)}
    index = torch.zeros(1800, dtype=torch.int64)
    ours = Counter(map(key, expert.Images(images, labels, metadata, FLOAT32).augmented(index)))
    assert set(ours) == theirs
    assert len(ours) == 9 * 9 * 2
    assert max(ours.values()) < 3 * 1800 / len(ours)


def key(picture):
    """Equal for equal pixels, whatever the order of the arithmetic that normalised them."""
    return (picture * 1000).round().int().numpy().tobytes()


def test_its_steps_are_sgd_on_each_image_once_an_epoch(digits, metadata, monkeypatch):
    """Equal to steps that are written out, in float32, on images as they are."""
    images, labels = (part[:24] for part in digits)
    monkeypatch.setattr(
        expert.Images, "augmented", lambda self, index: self.padded[index, 4:-4, 4:-4].movedim(3, 1)
    )
    torch.manual_seed(0)
    model = narrow()
    other = copy.deepcopy(model)
    found = expert.Images(images, labels, metadata, FLOAT32)

    torch.manual_seed(1)
    seen: list[int] = []
    losses = expert.train(model, found, FLOAT32, 16, 2, seen.append)

    torch.manual_seed(1)
    mean, std = torch.tensor(metadata.mean), torch.tensor(metadata.std)
    x = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    momenta = [torch.zeros_like(weight) for weight in other.parameters()]
    expected = []
    for _ in range(2):
        order = torch.randperm(24)
        for index in (order[:16], order[16:]):
            loss = F.cross_entropy(other(x[index]), labels[index])
            gradients = torch.autograd.grad(loss, list(other.parameters()))
            expected.append(loss.item())
            with torch.no_grad():
                for weight, gradient, momentum in zip(
                    other.parameters(), gradients, momenta, strict=True
                ):
                    decayed = gradient + 5e-4 * weight
                    momentum.mul_(0.9).add_(decayed)
                    weight -= 0.01 * (decayed + 0.9 * momentum)
    assert seen == [16, 8] * 2
    assert losses == pytest.approx([sum(expected[:2]) / 2, sum(expected[2:]) / 2], rel=1e-4)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_it_computes_in_the_devices_precision_with_float32_weights(digits, metadata):
    bfloat16 = DeviceConfig(CPU, torch.bfloat16)
    found = expert.Images(digits[0][:8], digits[1][:8], metadata, bfloat16)
    assert found.padded.dtype == torch.bfloat16
    assert found.augmented(torch.arange(8)).is_contiguous(memory_format=torch.channels_last)
    model = narrow()
    dtypes = set()
    model.conv1.register_forward_hook(lambda layer, x, result: dtypes.add(result.dtype))
    expert.train(model, found, bfloat16, 8, 1, lambda num_images: None)
    assert dtypes == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
