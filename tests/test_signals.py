"""Signals: noted, and training stops between two steps."""

import os
import signal

import pytest
import torch

from alexnet.signals import SIGNALS, GracefulShutdown, TrainingInterrupted
from alexnet.training.checkpoint import Checkpoints
from tests.making import narrow, settings, trainer_of


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_only_noted(signum):
    with GracefulShutdown() as shutdown:
        assert shutdown.received_signal == 0
        os.kill(os.getpid(), signum)
        assert shutdown.received_signal == signum


def test_the_previous_handlers_are_restored():
    def mine(signum, frame):
        pass

    before = {number: signal.signal(number, mine) for number in SIGNALS}
    try:
        with GracefulShutdown():
            assert all(signal.getsignal(number) is not mine for number in SIGNALS)
        assert all(signal.getsignal(number) is mine for number in SIGNALS)
        with pytest.raises(ZeroDivisionError), GracefulShutdown():
            _ = 1 / 0
        assert all(signal.getsignal(number) is mine for number in SIGNALS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("step", [1, 3, 5, 10])
def test_training_stops_after_the_current_step_and_keeps_it(
    metadata, digits, tmp_path, signum, step
):
    """Of ten steps; the fifth is the last of an epoch, the tenth of the run."""
    checkpoints = Checkpoints(tmp_path, {})
    torch.manual_seed(0)

    def signalled(trainer, batch):
        if trainer.state.step == step - 1:
            os.kill(os.getpid(), signum)

    params = settings(clip_norm=2.0)
    trainer = trainer_of(
        narrow(), metadata, digits, params, checkpoints=checkpoints, before_step=signalled
    )
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(TrainingInterrupted, match=f"after step {step} of 10") as stopped:
        trainer.fit(lambda row, seconds: None)
    assert stopped.value.signum == signum
    assert checkpoints.load_latest().step == trainer.state.step == step
    assert [signal.getsignal(number) for number in SIGNALS] == before
    checkpoints.close()
