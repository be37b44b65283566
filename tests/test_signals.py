"""Signals are recorded, and their handlers restored; tests/training/test_resume.py stops runs."""

import os
import signal
import subprocess
import sys

import pytest

from alexnet.signals import SIGNALS, GracefulShutdown, handled_signals
from tests.conftest import ROOT

# A command that stops itself, in a library that catches every Exception.
STOPPED = """
import os
from alexnet.cli.app import run
def command() -> None:
    try:
        os.kill(os.getpid(), NUMBER)
    except Exception:
        print("caught")
    finally:
        os.kill(os.getpid(), NUMBER)
        print("cleaned up")
run(command)
"""


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


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_command_that_a_signal_stops_says_so_in_one_line(signum):
    """Wherever it is, and once where two arrive: a terminal and torchrun send one each."""
    done = subprocess.run(
        [sys.executable, "-c", STOPPED.replace("NUMBER", str(int(signum)))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 128 + signum
    assert done.stdout == "cleaned up\n"
    assert done.stderr == f"error: stopped by {signum.name}\n"


def test_under_nohup_a_hangup_stays_ignored_unless_torchrun_passes_it_on(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with GracefulShutdown() as shutdown:
            os.kill(os.getpid(), signal.SIGHUP)
            assert shutdown.received_signal == 0
        monkeypatch.setenv("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT")
        assert signal.SIGHUP in handled_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
