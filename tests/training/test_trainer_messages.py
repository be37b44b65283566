"""What a run logs before it starts, and the errors that stop it."""

import math

import pytest
import torch

from alexnet import config
from alexnet.errors import UserError
from alexnet.network.model import AlexNetCifar
from alexnet.training import device
from alexnet.training.loss import cross_entropy
from alexnet.training.run_header import describe_run
from tests.runs import ignore, logged, recording, seeded, settings, train, trainer_of


def test_a_run_logs_its_device_network_and_size():
    """With the figures of the full network, computed elsewhere."""

    def stop(trainer, batch):
        raise StopIteration

    model, params, lines = seeded(make=AlexNetCifar), settings(epochs=1, batch_size=20), []
    with logged(lines), pytest.raises(StopIteration):
        trainer_of(model, params, num_images=20, before_step=stop).fit(ignore)
    assert lines[:-1] == [
        f"device cpu ({torch.get_num_threads()} threads), float32",
        "variant cifar: 58,322,314 parameters, 247.98 MFLOP an image forward, "
        "739.47 forward and backward",
        # 58,322,314 without 35 of fc1's 36 weights on each of 256 values
        f"fc1 trains without its copies: {58_322_314 - 35 * 256 * 4096:,} parameters",
        "20 images, 20 a step, 1 steps an epoch, 1 epochs",
    ]
    initial, expected = lines[-1].removeprefix("initial loss ").split(", log(10) = ")
    assert float(expected) == 2.303
    assert float(initial) == pytest.approx(2.303, abs=0.1)


def test_an_average_over_more_steps_than_there_are_is_named():
    """A hundred steps, of 76 images in batches of 76."""
    said = "train.ema_decay 0.99 averages over 100 steps, more than all 99: a lower one, or 0, may"
    for epochs, is_said in ((99, True), (101, False)):
        params = settings(epochs=epochs, batch_size=76, ema_decay=0.99)
        lines = list(describe_run(trainer_of(seeded(), params)))
        assert lines[-1].startswith(said) == is_said


def test_the_initial_loss_is_of_the_first_batch_and_threads_are_left_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)  # a number that only this test sets
    try:
        run = train(seeded(), settings(epochs=1), num_images=16)
        assert torch.get_num_threads() == before + 2
    finally:
        torch.set_num_threads(before)
    assert f"initial loss {run.losses[0]:.3f}," in run.lines[-1], "one batch: the same images"


def test_a_batch_larger_than_the_data_set_is_an_error():
    with pytest.raises(UserError, match=r"batch_size: 77 is more than the 76 training images"):
        trainer_of(seeded(), settings(batch_size=77))
    assert trainer_of(seeded(), settings(batch_size=76)).steps_per_epoch == 1


def test_a_last_step_of_one_image_is_not_normalised():
    one_left = {"batch_size": 25, "batch_norm": "folded"}
    with pytest.raises(UserError, match=r"batch_size: 25 leaves one of the 76 training images"):
        trainer_of(seeded(), settings(**one_left))
    assert trainer_of(seeded(), settings(batch_size=25)).steps_per_epoch == 4


# Divergence


def test_the_error_of_a_divergence_names_the_step():
    losses, params = [], diverging(settings())
    trainer = trainer_of(seeded(), params, criterion=recording(params, losses))
    with pytest.raises(UserError, match=r"lower train\.learning_rate") as error:
        trainer.fit(ignore)
    first = next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    assert f"not finite at step {first}:" in str(error.value)
    assert 0 < first < 5


def diverging(params: config.Train) -> config.Train:
    """With a learning rate that params.yaml may not ask for."""
    return params.model_copy(update={"learning_rate": 1e30})


def diverge(at_step, on_epoch=ignore, **options):
    """A run whose loss is infinite from one step on. Returns its trainer."""

    def criterion(logits, labels):
        loss = cross_entropy(logits, labels)
        return loss * math.inf if trainer.state.step >= at_step else loss

    params = options.pop("params", settings(epochs=3))
    trainer = trainer_of(seeded(), params, criterion=criterion, **options)
    with pytest.raises(UserError, match=f"not finite at step {at_step}:"):
        trainer.fit(on_epoch)
    return trainer


def test_a_divergence_in_the_last_step_is_noticed():
    """No loss is computed after it but that of the validation."""
    params = diverging(settings(epochs=1, batch_size=76))
    trainer = trainer_of(seeded(), params)
    with pytest.raises(UserError, match="not finite at step 1:"):
        trainer.fit(ignore)
    assert not trainer.state.rows


def test_a_divergence_in_a_later_epoch_is_reported_with_the_run_s_step():
    epochs = []
    diverge(8, lambda row, seconds: epochs.append(row.epoch))
    assert epochs == [1]


def test_a_divergence_is_found_at_the_next_log_interval(monkeypatch):
    """Not only at the end of the epoch, which may be an hour later."""
    monkeypatch.setattr("alexnet.training.trainer.LOG_INTERVAL_SECONDS", 0.0)
    assert diverge(6).state.step == 7


def test_there_is_no_checkpoint_of_a_diverged_run(checkpoints):
    """It would diverge again after each resume."""
    diverge(7, params=settings(epochs=3, checkpoint_seconds=1e-9), checkpoints=checkpoints)
    assert checkpoints.load_latest().step == 7, "after the seven steps before"


def test_running_out_of_memory_in_a_step_is_a_users_error():
    def too_large(trainer, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has")

    trainer = trainer_of(seeded(), settings(), before_step=too_large)
    with (
        pytest.raises(UserError, match=r"batch_size 16: 1\.50 GiB could not be had at once"),
        device.oom_as_user_error(16),
    ):
        trainer.fit(ignore)
