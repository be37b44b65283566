"""What a run says before it starts, and when and how it stops."""

import math

import pytest
import torch

from alexnet.errors import UserError
from alexnet.network.model import AlexNetCifar
from alexnet.training import device
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.trainer import cross_entropy
from tests.making import (
    ignore,
    recording,
    seeded,
    settings,
    train,
    trainer_of,
)


def test_a_run_says_what_it_is_about_to_do(metadata, digits):
    """On the network as it is, with figures that were worked out elsewhere."""
    run = train(seeded(make=AlexNetCifar), metadata, digits, settings(epochs=1, batch_size=20), 20)
    assert run.lines[:-1] == [
        f"device cpu ({torch.get_num_threads()} threads), float32",
        "variant cifar: 58,322,314 parameters, 247.98 MFLOP an image forward, "
        "739.47 forward and backward",
        # 58,322,314 without 35 of fc1's 36 weights on each of 256 values
        f"fc1 trains without its copies: {58_322_314 - 35 * 256 * 4096:,} trainable parameters",
        "20 images, 20 a step, 1 steps an epoch, 1 epochs",
    ]
    initial, expected = run.lines[-1].removeprefix("initial loss ").split(", log(10) = ")
    assert float(expected) == 2.303
    assert float(initial) == pytest.approx(2.303, abs=0.1)


def test_the_initial_loss_is_of_the_first_batch_before_any_step(metadata, digits):
    run = train(seeded(), metadata, digits, settings(epochs=1), num_images=16)
    assert f"initial loss {run.losses[0]:.3f}," in run.lines[-1], "one batch: the same images"


def test_training_leaves_the_number_of_threads_alone(metadata, digits):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)  # a number that only this test asks for
    try:
        train(seeded(), metadata, digits, settings(epochs=1))
        assert torch.get_num_threads() == before + 2
    finally:
        torch.set_num_threads(before)


def test_a_batch_larger_than_the_data_set_is_refused(metadata, digits):
    with pytest.raises(UserError, match=r"batch_size: 77 is more than the 76 training images"):
        trainer_of(seeded(), metadata, digits, settings(batch_size=77))
    assert trainer_of(seeded(), metadata, digits, settings(batch_size=76)).steps_per_epoch == 1


def test_a_rate_that_is_far_too_high_names_the_step(metadata, digits):
    losses = []
    params = settings(learning_rate=1e12)
    trainer = trainer_of(seeded(), metadata, digits, params, criterion=recording(params, losses))
    with pytest.raises(UserError, match=r"lower train\.learning_rate") as told:
        trainer.fit(ignore)
    first = next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    assert f"not finite at step {first}:" in str(told.value)
    assert 0 < first < 5


def test_a_divergence_in_a_later_epoch_is_named_by_its_step_in_the_run(metadata, digits):
    trainer = diverging(metadata, digits, settings(epochs=3), at_step=8)
    rows = []
    with pytest.raises(UserError, match="not finite at step 8:"):
        trainer.fit(lambda row, seconds: rows.append(row))
    assert [row.epoch for row in rows] == [1]


def test_a_divergence_is_seen_while_the_epoch_runs(metadata, digits, monkeypatch):
    """Not an hour later, when it ends: here each step is looked at."""
    monkeypatch.setattr("alexnet.training.trainer.LOG_INTERVAL_SECONDS", 0.0)
    trainer = diverging(metadata, digits, settings(epochs=3), at_step=6)
    with pytest.raises(UserError, match="not finite at step 6:"):
        trainer.fit(ignore)
    assert trainer.state.step == 7


def test_what_has_diverged_is_not_kept(metadata, digits, tmp_path, monkeypatch):
    """A checkpoint of it would be taken up again, and diverge again."""
    checkpoints = Checkpoints(tmp_path, {})
    params = settings(epochs=3, checkpoint_seconds=1e-9)
    trainer = diverging(metadata, digits, params, at_step=7, checkpoints=checkpoints)
    with pytest.raises(UserError, match="not finite at step 7:"):
        trainer.fit(ignore)
    assert checkpoints.load_latest().step == 7, "of the seven steps before"
    checkpoints.close()


def diverging(metadata, digits, params, at_step, **options):
    """A trainer whose loss is infinite from one step on."""

    def criterion(logits, labels):
        loss = cross_entropy(logits, labels)
        return loss * math.inf if trainer.state.step >= at_step else loss

    trainer = trainer_of(seeded(), metadata, digits, params, criterion=criterion, **options)
    return trainer


def test_running_out_of_memory_in_a_step_says_what_to_do(metadata, digits):
    def too_large(trainer, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has")

    trainer = trainer_of(seeded(), metadata, digits, settings(), before_step=too_large)
    with (
        pytest.raises(UserError, match=r"batch_size 16: 1\.50 GiB could not be had at once"),
        device.oom_as_user_error(16),
    ):
        trainer.fit(ignore)
