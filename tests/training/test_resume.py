"""A training run that checkpoints, is interrupted and resumes, in one process."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from alexnet.signals import SIGNALS, TrainingInterrupted
from tests.batch_norm import AlexNetBatchNorm
from tests.conftest import METADATA
from tests.runs import (
    EVERYTHING,
    MUON,
    flip_a_bit,
    full_disk,
    ignore,
    narrow,
    seeded,
    settings,
    train,
    trainer_of,
)
from tests.training.test_checkpoint import files

# Two epochs of five steps with all that training keeps, dropout included.
SGD = settings(**EVERYTHING)
EVERY_STEP = SGD.model_copy(update={"checkpoint_seconds": 1e-6})
CASES = {
    "sgd": (narrow, SGD, METADATA),
    "muon": (narrow, settings(**EVERYTHING, **MUON), METADATA),
    "folded": (
        narrow,
        settings(**EVERYTHING, **MUON, batch_norm="folded", init="whitened"),
        METADATA,
    ),
    "frozen": (
        narrow,
        settings(**EVERYTHING, **MUON, batch_norm="folded", freeze="features"),
        METADATA,
    ),
    "kept": (
        narrow,
        settings(**EVERYTHING, batch_norm="folded", freeze="features", augmentation="none"),
        METADATA,
    ),
    "batch-norm": (AlexNetBatchNorm, SGD, replace(METADATA, variant="batch-norm")),
}


def complete(case="sgd", params=None, **options):
    make, case_params, metadata = CASES[case]
    model = seeded(dropout=0.5, make=make)
    return train(model, params or case_params, metadata=metadata, **options)


def interrupt(checkpoints, step, case="sgd", params=None, signum=signal.SIGTERM):
    """The same run, which a signal stops after one step."""
    make, case_params, metadata = CASES[case]

    def send(trainer, batch):
        if trainer.state.step == step - 1:
            os.kill(os.getpid(), signum)

    trainer = trainer_of(
        seeded(dropout=0.5, make=make),
        params or case_params,
        metadata=metadata,
        checkpoints=checkpoints,
        before_step=send,
    )
    torch.rand(7)  # the global generator's state does not matter
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(TrainingInterrupted, match=f"after step {step} of 10") as stopped:
        trainer.fit(ignore)
    assert stopped.value.signum == signum
    assert checkpoints.load_latest().step == trainer.state.step == step
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


@pytest.fixture(scope="module")
def uninterrupted():
    """The results of each case's uninterrupted run."""
    return {case: complete(case).results for case in CASES}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "steps",
    [range(1, 11), *(pytest.param([n], marks=pytest.mark.slow) for n in (3, 5, 10))],
    ids=["each", "3", "5", "10"],
)
def test_a_resumed_run_ends_in_the_same_bytes(checkpoints, uninterrupted, steps, case):
    """Step 3 is in the middle of an epoch. Step 5 is an epoch's last, before its validation, and
    the one whose layers are recorded; step 10 is the run's last.
    """
    for step in steps:
        interrupt(checkpoints, step, case, signum=SIGNALS[step % 3])
    if case == "folded":
        assert "average.conv1.norm.weight" in checkpoints.load_latest().tensors
    if case == "batch-norm":
        assert "network.bn1.running_var" in checkpoints.load_latest().tensors
    run = complete(case, checkpoints=checkpoints)
    assert run.lines[0] == f"resuming at step {steps[-1]} of 10"
    assert not any(line.startswith("initial loss") for line in run.lines)
    assert len(run.losses) == 10 - steps[-1]
    assert run.results == uninterrupted[case]
    if case == "batch-norm":
        assert run.model.bn1.num_batches_tracked == 10
    # As if it had ended before its results were recorded.
    again = complete(case, checkpoints=checkpoints)
    assert again.lines[0].startswith("this run is complete already: its results are written from")
    assert not again.losses
    assert again.results == uninterrupted[case]


def test_a_damaged_checkpoint_costs_steps_and_changes_no_bytes(checkpoints, uninterrupted):
    interrupt(checkpoints, 8, params=EVERY_STEP)
    flip_a_bit(files(checkpoints, 8)[0])
    run = complete(checkpoints=checkpoints)
    assert run.lines[1] == "resuming at step 7 of 10"
    assert run.results == uninterrupted["sgd"]


def fill_the_disk(trainer, batch):
    """Checkpoints after step 4 fail."""
    if trainer.state.step == 4:
        save = trainer.autosave.checkpoints.save

        def failing(*arguments):
            with full_disk(10_000):
                save(*arguments)

        trainer.autosave.checkpoints.save = failing


def test_training_continues_with_a_warning_on_a_full_disk(checkpoints, uninterrupted):
    params = EVERY_STEP.model_copy(update={"on_checkpoint_error": "continue"})
    run = complete(params=params, checkpoints=checkpoints, before_step=fill_the_disk)
    warnings = [line for line in run.lines if line.startswith("no checkpoint at step")]
    assert len(warnings) == 7, "six steps, and the last checkpoint"
    assert "step 5 (" in warnings[0]
    assert all(line.endswith("training continues") for line in warnings[:-1])
    assert warnings[-1].endswith("the results are written all the same")
    assert checkpoints.load_latest().step == 4
    assert run.results == uninterrupted["sgd"]


def test_training_stops_on_a_full_disk_if_the_parameters_say_so(checkpoints):
    params = EVERY_STEP.model_copy(update={"on_checkpoint_error": "stop"})
    with pytest.raises(OSError, match="step-000000005"):
        complete(params=params, checkpoints=checkpoints, before_step=fill_the_disk)
    assert checkpoints.load_latest().step == 4


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (1e-6, "run it again to resume at step 4: the steps after it are lost"),
        (1e6, "there is no checkpoint: its steps are lost, and the next run starts over"),
    ],
)
def test_at_a_stop_without_a_checkpoint_the_message_says_what_is_lost(checkpoints, interval, words):
    params = SGD.model_copy(
        update={"checkpoint_seconds": interval, "on_checkpoint_error": "continue"}
    )

    def fill_and_stop(trainer, batch):
        fill_the_disk(trainer, batch)
        if trainer.state.step == 5:
            os.kill(os.getpid(), signal.SIGHUP)

    with pytest.raises(TrainingInterrupted) as stopped:
        complete(params=params, checkpoints=checkpoints, before_step=fill_and_stop)
    assert str(stopped.value) == f"after step 6 of 10; {words}"
