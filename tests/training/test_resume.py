"""A training run that checkpoints, is interrupted and resumes, in one process."""

import os
import signal

import pytest
import torch

from alexnet.signals import TrainingInterrupted
from tests.making import EVERYTHING, logged, narrow, settings, train, trainer_of
from tests.training.test_checkpoint import files, flip_a_bit, full_disk


def trained(metadata, digits, params, checkpoints=None, interrupted_after=()):
    """(weights, rows) of a run that is told to stop after some steps, and each time taken up."""
    for step in (*interrupted_after, None):
        torch.manual_seed(0)
        model, rows = narrow(dropout=0.5), []
        trainer = trainer_of(
            model, metadata, digits, params, checkpoints=checkpoints, after_step=stop_after(step)
        )
        if step is None:
            trainer.fit(lambda row, seconds, rows=rows: rows.append(row))
            return model.state_dict(), rows
        torch.rand(7)  # whatever else is drawn in a process does not matter
        with pytest.raises(TrainingInterrupted):
            trainer.fit(lambda row, seconds: None)
    raise AssertionError


def stop_after(step):
    """An `after_step` that sends SIGTERM after one step; after none if it is None."""

    def stop(trainer, batch):
        if trainer.state.step + 1 == step:  # it is counted when the step is over
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


def assert_equal(a, b):
    assert a[1] == b[1]
    for name, value in a[0].items():
        assert torch.equal(value, b[0][name]), name


def fill_the_disk_after(trainer, step):
    """Checkpoints of later steps fail."""
    save = trainer.checkpoints.save

    def failing(checkpoint):
        if checkpoint.step > step:
            with full_disk(10_000):
                save(checkpoint)
        save(checkpoint)

    trainer.checkpoints.save = failing


def every_step(**changes):
    return settings(checkpoint_seconds=1e-6, **changes)


def test_training_goes_on_with_a_warning(metadata, digits, checkpoints):
    untouched = trained(metadata, digits, settings(clip_norm=2.0))
    lines, rows = [], []
    torch.manual_seed(0)
    model = narrow(dropout=0.5)
    params = every_step(on_checkpoint_error="continue", clip_norm=2.0)
    trainer = trainer_of(model, metadata, digits, params, checkpoints=checkpoints)
    fill_the_disk_after(trainer, 4)
    with logged(lines):
        trainer.fit(lambda row, seconds: rows.append(row))
    warnings = [line for line in lines if line.startswith("no checkpoint at step")]
    assert len(warnings) == 6
    assert "step 5 (" in warnings[0]
    assert warnings[0].endswith("training continues")
    assert checkpoints.load_latest().step == 4
    assert_equal(untouched, (model.state_dict(), rows))


def test_training_stops_where_that_is_wanted(metadata, digits, checkpoints):
    params = every_step(on_checkpoint_error="stop")
    trainer = trainer_of(narrow(), metadata, digits, params, checkpoints=checkpoints)
    fill_the_disk_after(trainer, 4)
    with pytest.raises(OSError, match="step-000000005"):
        trainer.fit(lambda row, seconds: None)
    assert checkpoints.load_latest().step == 4


@pytest.mark.parametrize("muon", [None, 0.02], ids=["sgd", "muon"])
@pytest.mark.parametrize(
    "steps",
    [[1], [3], [5], [6], [9], [10], range(1, 11), [2, 4, 5, 10]],
    ids=lambda steps: "-".join(map(str, steps)),
)
def test_a_resumed_run_ends_in_the_same_bytes(metadata, digits, checkpoints, steps, muon):
    """Two epochs of five steps, with everything that training knows, dropout included.

    Step 3 is in the middle of an epoch; step 5 is the last of one, before validation.
    """
    params = settings(**EVERYTHING, muon_lr=muon)
    whole = trained(metadata, digits, params)
    assert_equal(whole, trained(metadata, digits, params, checkpoints, steps))


def test_a_damaged_checkpoint_costs_steps_and_no_bytes(metadata, digits, checkpoints):
    params = every_step(**EVERYTHING)
    whole = trained(metadata, digits, params)
    torch.manual_seed(0)
    trainer = trainer_of(
        narrow(dropout=0.5),
        metadata,
        digits,
        params,
        checkpoints=checkpoints,
        after_step=stop_after(8),
    )
    with pytest.raises(TrainingInterrupted):
        trainer.fit(lambda row, seconds: None)
    flip_a_bit(files(checkpoints, 8)[0], 0.5)
    assert_equal(whole, trained(metadata, digits, params, checkpoints))


def test_a_resumed_run_logs_its_step(metadata, digits, checkpoints):
    params = settings(clip_norm=2.0)
    torch.manual_seed(0)
    trainer = trainer_of(
        narrow(), metadata, digits, params, checkpoints=checkpoints, after_step=stop_after(7)
    )
    with pytest.raises(TrainingInterrupted):
        trainer.fit(lambda row, seconds: None)
    run = train(narrow(), metadata, digits, params, checkpoints=checkpoints)
    assert run.lines[0] == "resuming at step 7 of 10"
    assert not any(line.startswith("initial loss") for line in run.lines)
    assert len(run.losses) == 3
