"""The training loop: what it promises, held by equality."""

import math
import re

import pytest
import torch

from alexnet.errors import UserError
from alexnet.train import Meter, Split, epoch_order, fit, fold, steps_per_epoch
from alexnet.weights import build


@pytest.fixture
def small(params):
    """Two epochs of five steps on the CPU."""
    return params.train.model_copy(
        update={"device": "cpu", "precision": "fp32", "epochs": 2, "batch_size": 16}
    )


def train(card, digits, settings, num_images=76, dropout=0.5):
    """(model, rows of the history, lines said) of a run on real images."""
    images, labels = digits
    torch.manual_seed(settings.seed)
    model = build(card, dropout)
    rows, lines = [], []
    split = Split(images[:num_images], labels[:num_images])
    val = Split(images[-30:], labels[-30:])
    fit(model, card, split, val, settings, rows.append, lines.append)
    return model, rows, lines


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(card, digits, small):
    first, first_rows, _ = train(card, digits, small)
    torch.rand(1000)
    second, second_rows, _ = train(card, digits, small)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert [row.train_loss for row in first_rows] == [row.train_loss for row in second_rows]
    other, _, _ = train(card, digits, small.model_copy(update={"seed": 1}))
    assert not torch.equal(first.fc3.weight, other.fc3.weight)


def test_the_seed_decides_augmentation_and_dropout(card, digits, small, monkeypatch):
    """Same initial weights, same order of the images: what differs is drawn within the steps."""
    monkeypatch.setattr("alexnet.train.epoch_order", lambda num, seed, epoch: torch.arange(num))
    monkeypatch.setattr("torch.manual_seed", manual_seed := CountingSeed())
    losses = []
    for seed in (0, 1):
        manual_seed.real(7)
        model = build(card, dropout=0.5)
        rows = []
        settings = small.model_copy(update={"epochs": 1, "seed": seed})
        split = Split(digits[0][:32], digits[1][:32])
        fit(model, card, split, split, settings, rows.append, lambda line: None)
        losses.append(rows[0].train_loss)
    assert losses[0] != losses[1]
    assert len(set(manual_seed.seen)) == 4, "two steps of two runs"


class CountingSeed:
    """torch.manual_seed that remembers what it was given."""

    def __init__(self):
        self.real, self.seen = torch.manual_seed, []

    def __call__(self, seed):
        self.seen.append(seed)
        return self.real(seed)


@pytest.mark.slow
def test_a_run_learns_and_says_what_it_did(card, digits, small):
    settings = small.model_copy(
        update={"epochs": 15, "crop_padding": 0, "flip": False, "label_smoothing": 0.0}
    )
    _, rows, lines = train(card, digits, settings, num_images=32, dropout=0.0)
    assert [row.epoch for row in rows] == list(range(1, 16))
    assert rows[-1].train_accuracy == 1.0
    assert rows[-1].train_loss < 0.05 < 2 < rows[0].train_loss
    assert rows[-1].learning_rate < rows[2].learning_rate
    assert all(row.seconds > 0 and row.images_per_second > 0 for row in rows)
    said = "\n".join(lines)
    assert "58,322,314 parameters, 247.98 MFLOP" in said
    assert "739.47 forward and backward" in said
    initial, expected = map(float, re.search(r"loss ([\d.]+), log\(10\) = ([\d.]+)", said).groups())
    assert expected == pytest.approx(math.log(10), abs=1e-3)
    assert initial == pytest.approx(expected, abs=0.2)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(card, digits, small):
    settings = small.model_copy(
        update={"learning_rate": 1e12, "clip_norm": None, "warmup_fraction": 0.0}
    )
    with pytest.raises(UserError, match=r"not finite at step [1-4]: .*lower train.learning_rate"):
        train(card, digits, settings)


def test_a_batch_larger_than_the_data_set_is_refused(card, digits, small):
    with pytest.raises(UserError, match=r"batch_size: 77 is more than the 76 training images"):
        train(card, digits, small.model_copy(update={"batch_size": 77}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_refused(card, digits, small):
    with pytest.raises(UserError, match="cuda is asked for, but PyTorch finds no CUDA GPU"):
        train(card, digits, small.model_copy(update={"device": "cuda"}))


@pytest.mark.gpu
def test_a_run_on_the_gpu_learns(card, digits, small):
    settings = small.model_copy(update={"device": "cuda", "epochs": 12})
    model, rows, lines = train(card, digits, settings, num_images=64)
    assert lines[0].startswith("device cuda")
    assert next(model.parameters()).is_cuda
    assert rows[-1].train_loss < rows[0].train_loss


def test_the_meter_weighs_batches_by_their_size_and_names_the_first_bad_step():
    meter = Meter(torch.device("cpu"))
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    meter.add(logits, torch.tensor([0, 1, 1]), torch.tensor(2.0))
    meter.add(logits[:1], torch.tensor([0]), torch.tensor(6.0))
    assert (meter.loss, meter.accuracy) == (3.0, 0.75)
    meter.check_finite(first_step=40)
    for loss in (math.inf, 1.0, math.nan):
        meter.add(logits, torch.tensor([0, 1, 1]), torch.tensor(loss))
    with pytest.raises(UserError, match="not finite at step 42:"):
        meter.check_finite(first_step=40)


def test_each_image_is_seen_once_an_epoch_in_an_order_of_its_own(small):
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[5])


def test_the_last_step_of_an_epoch_takes_what_is_left(small):
    split = Split(torch.zeros(33, 1, 1, 1), torch.zeros(33))
    assert steps_per_epoch(split, small) == 3
    assert steps_per_epoch(Split(split.images[:32], split.labels[:32]), small) == 2


def test_fold_gives_every_step_and_epoch_its_own_seed():
    seeds = {fold(seed, number) for seed in range(10) for number in range(-50, 1000)}
    assert len(seeds) == 10 * 1050
    for seed in list(seeds)[:100]:
        torch.manual_seed(seed)  # accepts it
