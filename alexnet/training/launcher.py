"""Starting the processes of a distributed training on this host, as `torchrun` does."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from alexnet.errors import UserError
from alexnet.signals import REPORTED, SIGNALS, TrainingInterrupted, handled_signals
from alexnet.training.distributed import LAUNCHER_PID


def resolve_world_size(wanted: int | str, device: torch.device) -> int:
    """The number of processes for this host: `auto` is one for each GPU, one on a CPU.

    Raises UserError if more are wanted than there are devices (on a CPU: cores).
    """
    on_gpu = device.type == "cuda"
    available = torch.cuda.device_count() if on_gpu else len(os.sched_getaffinity(0))
    if wanted == "auto":
        return available if on_gpu else 1
    if int(wanted) > available:
        raise UserError(
            f"train.num_processes: {wanted} are asked for, but there are {available} "
            f"{'CUDA GPUs' if on_gpu else 'processor cores'} here"
        )
    return int(wanted)


def launch(num_processes: int, command: Sequence[str]) -> None:
    """Run `python COMMAND` in several processes on this host, and wait for all of them.

    All are stopped when one fails. Raises UserError with the process that failed first and its
    exit code. If a signal stopped them, exits with its code where the main process reports it,
    and raises TrainingInterrupted where that was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # torchrun logs a signal or a failure with a traceback; one line is enough, see below.
    for name in logging.root.manager.loggerDict:
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher")):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    # Each process takes its part of the cores, unless the user has set another number.
    threads = max(1, len(os.sched_getaffinity(0)) // num_processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ[LAUNCHER_PID] = str(os.getpid())
    with tempfile.TemporaryDirectory() as logs:  # torchrun's own folder would be left over
        reported = Path(logs) / "reported"
        os.environ[REPORTED] = str(reported)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id="alexnet",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",  # without a network, a container's own name has no address
            max_restarts=0,
            monitor_interval=0.2,
            logs_specs=DefaultLogsSpecs(logs),
            signals_to_handle=",".join(
                number.name for number in (*handled_signals(), signal.SIGQUIT)
            ),
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except SignalException as error:
            _stop(error.sigval, num_processes, reported)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            code = failure.exitcode
            if code - 128 in SIGNALS:  # it was asked to stop, and all have stopped after a step
                _stop(code - 128, num_processes, reported)
            if code < 0:
                why = f"was ended by {signal.Signals(-code).name}"
            else:
                why = f"failed (exit code {code}; its message stands above)"
            raise UserError(
                f"process {rank} of {num_processes} {why}, and the others were stopped"
            ) from None


def _stop(signum: int, num_processes: int, reported: Path) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # in place of torchrun's handlers
    if reported.exists():
        sys.exit(128 + signum)
    raise TrainingInterrupted(
        signum,
        f"before its {num_processes} processes had stopped by themselves; run it again to resume "
        "from the last checkpoint, if there is one",
    )
