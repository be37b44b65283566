"""Batches: each image once, in the order of the epoch, the same in any memory."""

import pytest
import torch

from alexnet.training.augmentation import Augmentation
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from alexnet.training.loader import Split, batches, epoch_order, move_to_device
from tests.runs import CPU, EVERYTHING, settings


@pytest.fixture
def split(digits):
    """75 images whose labels are their indices."""
    images, _ = digits
    return Split(images[:75], torch.arange(75))


def epoch_of(split, batch_size, device=CPU, distributed=SINGLE_PROCESS, order=None):
    """(the order of the epoch, its augmentation parameters, its batches)"""
    params = settings(**EVERYTHING, epochs=8)
    augmentation = Augmentation(split.images, (0.5,) * 3, (0.2,) * 3, params, CPU)
    sampled = augmentation.sample(len(split), epoch=2)
    order = epoch_order(len(split), 0, 2) if order is None else order
    return order, sampled, batches(split, sampled, order.split(batch_size), device, distributed)


def test_the_order_of_an_epoch_is_a_permutation():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[5])


@pytest.mark.parametrize("batch_size", [1, 16, 25, 75])
def test_an_epoch_has_each_image_once_and_a_shorter_last_batch(split, batch_size):
    order, sampled, found = epoch_of(split, batch_size)
    found = list(found)
    sizes = [len(batch.labels) for batch in found]
    assert sizes == [batch_size] * (75 // batch_size) + [75 % batch_size] * (75 % batch_size > 0)
    assert [batch.loss_divisor for batch in found] == sizes
    assert torch.equal(torch.cat([batch.labels for batch in found]), order)
    assert torch.equal(torch.cat([batch.images for batch in found]), split.images[order])
    of_batches = torch.cat([batch.augmentation_params.values for batch in found])
    assert torch.equal(of_batches, sampled.values[order])


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [16, 4])
def test_the_shards_of_the_processes_make_up_the_batch(split, size, batch_size):
    """In its order. Of the last batch some of five processes have fewer images, or none."""
    _, _, complete = epoch_of(split, batch_size)
    shared = [
        epoch_of(split, batch_size, distributed=DistributedContext(r, size))[2] for r in range(size)
    ]
    for batch, *parts in zip(complete, *shared, strict=True):
        for k, tensor in enumerate(batch.tensors()):
            assert torch.equal(torch.cat([part.tensors()[k] for part in parts]), tensor)
        sizes = [len(part.labels) for part in parts]
        assert max(sizes) - min(sizes) <= 2
        # The mean over the processes of (sum of losses / loss_divisor) is the batch's mean loss.
        assert {part.loss_divisor for part in parts} == {len(batch.labels) / size}


def test_a_complete_epoch_has_no_further_batches(split):
    assert list(batches(split, epoch_of(split, 16)[1], [], CPU, SINGLE_PROCESS)) == []


def test_a_clone_has_its_own_memory(split):
    batch = next(iter(epoch_of(split, 16)[2]))
    clone = batch.clone()
    assert clone.loss_divisor == batch.loss_divisor
    for ours, theirs in zip(clone.tensors(), batch.tensors(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
    assert len(batch.tensors()) == 3, "images, labels, and the augmentation's random numbers"


@pytest.mark.parametrize("wanted", ["auto", "device", "host"])
def test_on_a_cpu_nothing_is_copied(split, wanted):
    placed = move_to_device(split, CPU, wanted)
    assert placed.images.data_ptr() == split.images.data_ptr()
    assert placed.labels.data_ptr() == split.labels.data_ptr()


@pytest.mark.parametrize(("free", "moved"), [(10**9, True), (75 * 32 * 32 * 3 * 2, False)])
def test_auto_leaves_half_of_the_devices_memory(split, monkeypatch, free, moved):
    """The 75 images take 75 * 32 * 32 * 3 bytes: exactly half of what is free is too much."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**10))
    monkeypatch.setattr(Split, "to", lambda split, device: f"moved to {device}")
    placed = move_to_device(split, torch.device("cuda:1"), "auto")
    assert placed == ("moved to cuda:1" if moved else split)
    assert move_to_device(split, torch.device("cuda:1"), "device") == "moved to cuda:1"
    assert move_to_device(split, torch.device("cuda:1"), "host") is split


@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [16, 25])
def test_streamed_batches_equal_resident_ones_bit_for_bit(split, batch_size):
    device = torch.device("cuda:0")
    resident = epoch_of(move_to_device(split, device, "device"), batch_size, device)[2]
    streamed = epoch_of(move_to_device(split, device, "host"), batch_size, device)[2]
    of_cpu = epoch_of(split, batch_size)[2]
    num_batches = 0
    for ours, theirs, expected in zip(streamed, resident, of_cpu, strict=True):
        # Work on the device, as a step would, while the next batch is copied.
        torch.randn(2000, 2000, device=device).square_().sum()
        assert ours.loss_divisor == theirs.loss_divisor == expected.loss_divisor
        for a, b, c in zip(ours.tensors(), theirs.tensors(), expected.tensors(), strict=True):
            assert a.device == b.device == device
            assert torch.equal(a, b)
            assert torch.equal(a.cpu(), c)
        num_batches += 1
    assert num_batches == -(-75 // batch_size)


@pytest.mark.gpu
def test_a_streamed_batch_is_not_overwritten_by_the_next(split):
    device = torch.device("cuda:0")
    order, _, found = epoch_of(split, 16, device)
    kept = list(found)
    assert torch.equal(torch.cat([batch.labels for batch in kept]).cpu(), order)
    assert torch.equal(torch.cat([batch.images for batch in kept]).cpu(), split.images[order])


@pytest.mark.gpu
def test_resident_batches_never_wait_for_the_device(split):
    device = torch.device("cuda:0")
    found = iter(epoch_of(move_to_device(split, device, "device"), 16, device)[2])
    next(found)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(found)) == 4
    finally:
        torch.cuda.set_sync_debug_mode("default")
