"""Batches: each image once, in the order of the epoch, the same in any memory."""

import threading

import pytest
import torch

from alexnet.training.augmentation import Augmentation
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from alexnet.training.loader import (
    EpochPlan,
    EpochPlanner,
    Loader,
    Split,
    epoch_order,
    move_to_device,
)
from tests.runs import CPU, EVERYTHING, settings, waiting_is_an_error


@pytest.fixture
def split(digits):
    """75 images whose labels are their indices."""
    images, _ = digits
    return Split(images[:75], torch.arange(75))


def plan_of(split):
    params = settings(**EVERYTHING, epochs=8)
    augmentation = Augmentation(split.images, (0.5,) * 3, (0.2,) * 3, params, CPU)
    return EpochPlan(epoch_order(len(split), 0, 2), augmentation.sample(len(split), epoch=2))


def batches_of(split, batch_size, device=CPU, distributed=SINGLE_PROCESS, first_step=0):
    """(images, labels, random numbers, number of images) of each batch of an epoch, on the CPU."""
    loader = Loader(split, batch_size, device, distributed)
    return [
        (*(tensor.cpu().clone() for tensor in batch.gather()), batch.num_images)
        for batch in loader.epoch(plan_of(split), first_step)
    ]


def test_the_order_of_an_epoch_is_a_permutation():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[5])


@pytest.mark.parametrize("batch_size", [1, 16, 25, 75])
def test_an_epoch_has_each_image_once_and_a_shorter_last_batch(split, batch_size):
    plan, found = plan_of(split), batches_of(split, batch_size)
    images, labels, sampled, sizes = zip(*found, strict=True)
    rest = 75 % batch_size
    assert list(sizes) == [batch_size] * (75 // batch_size) + [rest] * (rest > 0)
    assert list(map(len, labels)) == list(sizes)
    assert torch.equal(torch.cat(labels), plan.order)
    assert torch.equal(torch.cat(images), split.images[plan.order])
    assert torch.equal(torch.cat(sampled), plan.sampled[plan.order])


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [16, 4])
def test_the_shards_of_the_processes_make_up_the_batch(split, size, batch_size):
    """In its order. Of the last batch some of five processes have fewer images, or none."""
    shared = [batches_of(split, batch_size, CPU, DistributedContext(r, size)) for r in range(size)]
    for batch, *parts in zip(batches_of(split, batch_size), *shared, strict=True):
        for k in range(3):
            assert torch.equal(torch.cat([part[k] for part in parts]), batch[k])
        sizes = [len(part[1]) for part in parts]
        assert max(sizes) - min(sizes) <= 2
        assert {part[3] for part in parts} == {len(batch[1])}, "of the step, not of the process"


def test_a_resumed_epoch_has_the_batches_that_are_left(split):
    for first_step in (0, 3, 4, 5):
        left = batches_of(split, 16, first_step=first_step)
        assert [len(batch[1]) for batch in left] == [16, 16, 16, 16, 11][first_step:]
        labels = [batch[1] for batch in left] or [torch.empty(0, dtype=torch.int64)]
        assert torch.equal(torch.cat(labels), plan_of(split).order[16 * first_step :])


def test_batches_of_one_size_are_the_same_tensors_in_every_epoch(split):
    """Where a CUDA graph reads them; the split itself is not copied, and not changed."""
    before, loader = split.images.clone(), Loader(split, 16, CPU, SINGLE_PROCESS)
    places = {len(b.index): set() for _ in range(2) for b in loader.epoch(plan_of(split))}
    for _ in range(2):
        for batch in loader.epoch(plan_of(split)):
            places[len(batch.index)].add(tuple(tensor.data_ptr() for tensor in batch.tensors()))
            assert batch.images is split.images
    assert {size: len(found) for size, found in places.items()} == {16: 1, 11: 1}
    assert torch.equal(split.images, before)


def test_the_plan_of_the_next_epoch_is_made_meanwhile():
    """In a thread; each is made once, and none beyond the last epoch."""
    made = []

    def make(epoch):
        made.append((epoch, threading.current_thread() is threading.main_thread()))
        return EpochPlan(torch.tensor([epoch]), torch.empty(1, 0))

    planner = EpochPlanner(make, num_epochs=4)
    assert [planner(epoch).order.item() for epoch in (1, 2, 3)] == [1, 2, 3], "resumed at 1"
    assert made == [(1, True), (2, False), (3, False)]


def test_an_error_in_the_thread_is_raised_where_the_plan_is_asked_for():
    def make(epoch):
        if epoch == 1:
            raise ValueError("no plan")
        return EpochPlan(torch.arange(2), torch.empty(2, 0))

    planner = EpochPlanner(make, num_epochs=2)
    planner(0)
    with pytest.raises(ValueError, match="no plan"):
        planner(1)


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
@pytest.mark.parametrize("location", ["device", "host"])
def test_batches_on_a_gpu_equal_those_on_the_cpu_bit_for_bit(split, batch_size, location):
    """Resident and streamed, while the device works, as in a step, and the next one is copied."""
    device = torch.device("cuda:0")
    loader = Loader(move_to_device(split, device, location), batch_size, device, SINGLE_PROCESS)
    found = []
    for batch in loader.epoch(plan_of(split).pin_memory()):
        torch.randn(2000, 2000, device=device).square_().sum()
        found.append([tensor.clone() for tensor in batch.gather()])
    for ours, (*expected, _) in zip(found, batches_of(split, batch_size), strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert a.device == device
            assert torch.equal(a.cpu(), b)


@pytest.mark.gpu
def test_resident_batches_never_wait_for_the_device(split):
    device = torch.device("cuda:0")
    loader = Loader(move_to_device(split, device, "device"), 16, device, SINGLE_PROCESS)
    found = loader.epoch(plan_of(split).pin_memory())
    next(found)
    with waiting_is_an_error():
        assert len(list(found)) == 4
