"""What the seed decides: the order, the augmentation, the dropout, and nothing else does."""

import pytest
import torch

from alexnet.seeding import seed_for
from alexnet.training.augmentation import Augmentation
from alexnet.training.loader import epoch_order
from tests.making import CPU, EVERYTHING, ignore, seeded, settings, train, trainer_of


def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(metadata, digits):
    params = settings(**EVERYTHING)
    first = train(seeded(dropout=0.5), metadata, digits, params)
    torch.rand(1000)
    torch.empty(100, 100).normal_()
    model = seeded(dropout=0.5)
    torch.manual_seed(12345)  # a step's numbers are of its own, not of what is left over
    second = train(model, metadata, digits, params)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert first.rows == second.rows
    assert first.losses == second.losses


def test_the_seed_decides_the_order_the_augmentation_and_the_dropout(metadata, digits):
    """Two runs of other seeds on the same initial weights: each of the three differs."""
    seen = {}
    for seed in (0, 1):
        params = settings(seed=seed, **EVERYTHING)
        seen[seed] = steps_of(seeded(dropout=0.5), metadata, digits, params)
    for seed in (0, 1):
        given = [seed_for(seed, "step", step, 0) for step in range(10)]
        drawn = [number for number, _, _ in seen[seed]]
        assert [(a - b) % 2**64 for a, b in zip(drawn, given, strict=True)] == [0] * 10
    # Images are told apart by their bytes; what is done to one is looked up by them.
    orders = [[image for _, images, _ in seen[seed][:5] for image in images] for seed in (0, 1)]
    assert set(orders[0]) == set(orders[1])
    assert orders[0] != orders[1]
    done = [
        dict(zip(order, [d for _, _, draws in seen[seed][:5] for d in draws], strict=True))
        for seed, order in enumerate(orders)
    ]
    same = [done[0][image] == done[1][image] for image in done[0]]
    assert not any(same)


def test_each_epoch_has_an_order_and_an_augmentation_of_its_own(metadata, digits):
    seen = steps_of(seeded(), metadata, digits, settings(**EVERYTHING))
    images = [image for _, images, _ in seen for image in images]
    draws = [row for _, _, draws in seen for row in draws]
    assert sorted(images[:76]) == sorted(images[76:])
    assert len(set(images[:76])) > 70, "76 digits, few of which are the same"
    assert images[:76] != images[76:]
    assert set(draws[:76]).isdisjoint(draws[76:])


def test_the_order_of_an_epoch_is_a_permutation():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[5])


@pytest.mark.parametrize("batch_size", [16, 38])
def test_how_it_is_cut_into_batches_changes_nothing_about_an_image(metadata, digits, batch_size):
    params = settings(batch_size=batch_size, epochs=1, **EVERYTHING)
    seen = steps_of(seeded(), metadata, digits, params)
    order = epoch_order(76, params.seed, 0)
    augmentation = Augmentation(digits[0][:76], metadata.mean, metadata.std, params, CPU)
    expected = augmentation.sample(76, 0).index_select(order)
    assert [row for _, _, draws in seen for row in draws] == rows_of(expected)


def steps_of(model, metadata, digits, params):
    """Of each step of a run: torch's seed, the images' bytes, and each image's augmentation."""
    seen = []

    def record(trainer, batch):
        images = [image.numpy().tobytes() for image in batch.images]
        seen.append((torch.initial_seed(), images, rows_of(batch.augmentation_params)))

    trainer_of(model, metadata, digits, params, before_step=record).fit(ignore)
    return seen


def rows_of(params):
    return [tuple(row) for row in params.values.tolist()]
