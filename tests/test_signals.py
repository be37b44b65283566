"""Signals are recorded, and their handlers restored; tests/training/test_resume.py stops runs."""

import os
import signal

import pytest

from alexnet.signals import SIGNALS, GracefulShutdown


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_recorded(signum):
    with GracefulShutdown() as shutdown:
        assert shutdown.received_signal == 0
        os.kill(os.getpid(), signum)
        assert shutdown.received_signal == signum


def test_the_previous_handlers_are_restored():
    def mine(signum, frame):
        pass

    def handlers():
        return [signal.getsignal(number) for number in SIGNALS]

    before = {number: signal.signal(number, mine) for number in SIGNALS}
    try:
        with GracefulShutdown():
            assert mine not in handlers()
        assert handlers() == [mine] * len(SIGNALS)
        with pytest.raises(ZeroDivisionError), GracefulShutdown():
            _ = 1 / 0
        assert handlers() == [mine] * len(SIGNALS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
