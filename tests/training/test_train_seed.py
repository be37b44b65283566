"""The seed alone decides the order, the augmentation and the dropout."""

import pytest
import torch

from alexnet.seeding import seed_for
from alexnet.training.augmentation import Augmentation
from alexnet.training.loader import epoch_order
from tests.conftest import METADATA, real_digits
from tests.runs import CPU, EVERYTHING, ignore, seeded, settings, train, trainer_of


def rows_of(sampled):
    return [tuple(row) for row in sampled.tolist()]


@pytest.fixture(scope="module")
def recorded():
    """By seed, of the steps of a run: torch's seeds, the images' bytes, their augmentation.

    Images are identified by their bytes. The initial weights are the same.
    """
    found = {}
    for seed in (0, 1):
        seeds, images, rows = found[seed] = [], [], []

        def record(trainer, batch, seeds=seeds, images=images, rows=rows):
            seeds.append(torch.initial_seed())
            chosen, _, sampled = batch.gather()
            images += [image.numpy().tobytes() for image in chosen]
            rows += rows_of(sampled)

        params = settings(seed=seed, **EVERYTHING)
        trainer_of(seeded(dropout=0.5), params, before_step=record).fit(ignore)
    return found


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_generator():
    params = settings(**EVERYTHING)
    first = train(seeded(dropout=0.5), params)
    torch.rand(1000)
    torch.empty(100, 100).normal_()
    model = seeded(dropout=0.5)
    torch.manual_seed(12345)
    second = train(model, params)
    assert first.results == second.results
    assert first.losses == second.losses


def test_each_step_has_a_seed_for_its_dropout(recorded):
    for seed in (0, 1):
        expected = [seed_for(seed, "step", step, 0) % 2**64 for step in range(10)]
        assert [number % 2**64 for number in recorded[seed][0]] == expected


def test_the_seed_decides_the_order_and_the_augmentation(recorded):
    orders = [recorded[seed][1][:76] for seed in (0, 1)]
    assert set(orders[0]) == set(orders[1])
    assert orders[0] != orders[1]
    first, second = (dict(zip(recorded[s][1][:76], recorded[s][2], strict=False)) for s in (0, 1))
    assert not any(first[image] == second[image] for image in first)


def test_each_epoch_has_its_own_order_and_augmentation(recorded):
    _, images, rows = recorded[0]
    assert sorted(images[:76]) == sorted(images[76:])
    assert len(set(images[:76])) > 70, "76 digits, few of which are the same"
    assert images[:76] != images[76:]
    assert set(rows[:76]).isdisjoint(rows[76:])


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_image_is_augmented_by_its_index_whatever_its_batch(recorded, epoch):
    params = settings(**EVERYTHING, batch_size=38)
    images = real_digits()[0][:76]
    augmentation = Augmentation(images, METADATA.mean, METADATA.std, params, CPU)
    expected = augmentation.sample(76, epoch)[epoch_order(76, params.seed, epoch)]
    assert recorded[0][2][76 * epoch :][:76] == rows_of(expected)
