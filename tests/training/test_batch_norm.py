"""Batch normalisation in training, and the network without it that is left."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from alexnet.errors import UserError
from alexnet.network.model import AlexNetImageNet2012
from alexnet.training.batch_norm import exact_statistics, with_batch_norm
from alexnet.training.distributed import SINGLE_PROCESS
from tests.conftest import METADATA, real_digits
from tests.runs import EVERYTHING, MUON, narrow, seeded, settings, train, trainer_of

FOLDED = EVERYTHING | MUON | {"batch_norm": "folded"}
LARGE = replace(METADATA, variant="imagenet-2012", image_size=227)


def as_input(images):
    """As the network takes them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (METADATA.mean, METADATA.std))
    return (images.permute(0, 3, 1, 2) / 255 - mean) / std


def run_on(size, **changes):
    """Digits of size x size pixels, and the run of the network for them."""
    images, labels = real_digits()
    if size == 32:
        return images, train(seeded(dropout=0.2), settings(**FOLDED | changes))
    pixels = torch.arange(size) * 32 // size
    images, labels = images[:40][:, pixels][:, :, pixels], labels[:40]
    model = seeded(dropout=0.2, make=partial(narrow, variant=AlexNetImageNet2012))
    params = settings(**FOLDED | {"epochs": 1, "batch_size": 8} | changes)
    return images, train(model, params, 20, data=(images, labels), metadata=LARGE)


# In float64 the two networks differ by 1e-7; rounding in float32 grows from layer to layer.
@pytest.mark.parametrize(
    ("size", "collapse_fc1", "tolerance"),
    [(32, "auto", 1e-4), (32, "off", 1e-4), (227, "auto", 1e-3)],
)
def test_the_folded_network_computes_what_the_normalised_one_does(size, collapse_fc1, tolerance):
    """On all training images, whose statistics were folded: one batch of the normalised one."""
    images, run = run_on(size, collapse_fc1=collapse_fc1)
    trainer, x = run.trainer, as_input(images[: len(run.trainer.train)])
    with torch.no_grad():
        normalised = functional_call(trainer.network.eval(), trainer.state.result(), (x,))
        folded = run.model.eval()(x)
    assert "conv1.norm.weight" in trainer.state.result()
    torch.testing.assert_close(folded, normalised, rtol=0, atol=tolerance)
    assert torch.equal(folded.argmax(dim=1), normalised.argmax(dim=1))
    assert run.model.state_dict().keys() == seeded().state_dict().keys()


def test_it_learns():
    run = train(seeded(), settings(batch_norm="folded", epochs=4, clip_norm=2.0), num_images=160)
    assert run.rows[-1].val_accuracy > 0.7


def test_dead_relus_are_those_of_the_validation_images(digits):
    """Not of the images whose statistics are taken."""
    trainer = trainer_of(seeded(), settings(batch_norm="folded"), num_images=1000)
    torch.nn.init.constant_(trainer.network.fc2.norm.bias, -2.0)  # seldom above 0
    trainer.validate(trainer.val, trainer.result())
    rows = {row.layer: row for row in trainer.monitor.rows(1, SINGLE_PROCESS)}
    outputs = []
    with (
        torch.no_grad(),
        trainer.measured.relu7.register_forward_hook(
            lambda layer, inputs, output: outputs.append(output)
        ),
    ):
        functional_call(trainer.measured, trainer.result(), (as_input(digits[0][-30:]),))
    dead = (outputs[-1] <= 0).all(dim=0).double().mean().item()
    assert rows["fc2"].dead_relus == dead > 0


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_the_statistics_are_of_all_images_whatever_the_batches(digits, batch_size):
    """Of conv1's outputs, without bias, which no normalisation precedes."""
    images = digits[0][:40]
    network = with_batch_norm(seeded())
    found = exact_statistics(network, lambda batch: network(as_input(batch)), images, batch_size)
    outputs = F.conv2d(as_input(images).double(), network.conv1.weight.double(), None, 4, 4)
    columns = outputs.detach().movedim(1, 0).flatten(1).numpy()
    mean, variance = found["conv1"]
    np.testing.assert_allclose(mean, columns.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, columns.var(axis=1), rtol=1e-5)
    assert list(found) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2"]


def test_each_batch_of_the_statistics_has_images_from_everywhere():
    """The images may be stored in the order of their classes."""
    numbered = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, 32, 32, 3)
    network, batches = with_batch_norm(seeded()), []

    def forward(batch):
        batches.append(batch[:, 0, 0, 0])
        network(as_input(batch))

    exact_statistics(network, forward, numbered, 10)
    assert torch.cat(batches).sort().values.tolist() == list(range(40))
    assert all(batch.min() < 4 and batch.max() >= 36 for batch in batches)


def test_a_layer_without_a_bias_to_fold_into_is_named():
    model = narrow()
    model.conv3 = torch.nn.Conv2d(16, 24, 3, padding=1, bias=False)
    with pytest.raises(UserError, match=r"layer conv3 \(Conv2d.*set train.batch_norm to none"):
        with_batch_norm(model)
