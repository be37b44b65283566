"""Distributed training when a process fails, hangs, or never comes."""

import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from alexnet.cli.app import configure_logging
from alexnet.training import peers
from alexnet.training.distributed import init_distributed
from alexnet.training.peers import is_peer_failure
from tests.runs import CPU
from tests.training.test_distributed import fork, python

# What says only that another process is lost

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/"
NCCL = "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, "
LOST = [
    f"{GLOO}pair.cc:547] Connection closed by peer [127.0.0.1]:53996",
    f"{GLOO}pair.cc:545] Read error [127.0.0.1]:23752: Connection reset by peer",
    f"{GLOO}unbound_buffer.cc:78] Timed out waiting 300000ms for recv operation to complete",
    f"{NCCL}remote process exited or there was a network error, NCCL version 2.27.5\n"
    "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting "
    "prematurely.\nLast error:\nsocketProgress: Connection closed by remote peer",
    f"{NCCL}unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\n"
    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device "
    "error.\nLast error:\nsocketStartConnect: Connect to 10.0.0.1<43789> failed",
    "NCCL communicator was aborted on rank 0.",
    "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4, OpType=ALLREDUCE, "
    "NumelIn=1, NumelOut=1, Timeout(ms)=300000) ran for 300042 milliseconds before timing out.",
    "[1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value "
    "store by key '0', but store->get('0') got error: Connection reset by peer",
]
OWN = [
    "mat1 and mat2 shapes cannot be multiplied",
    f"{NCCL}invalid usage, NCCL version 2.27.5\nncclInvalidUsage: This usually reflects invalid "
    "usage of NCCL library.\nLast error:\nDuplicate GPU detected : rank 1 and rank 0",
    f"{NCCL}unhandled cuda error, NCCL version 2.27.5\nncclUnhandledCudaError: Call to CUDA failed",
]


@pytest.mark.parametrize(
    ("message", "lost"), [*((text, True) for text in LOST), *((text, False) for text in OWN)]
)
def test_a_lost_process_is_distinguished_from_other_errors(message, lost):
    """The messages of gloo and NCCL, as PyTorch 2.14 gives them."""
    for kind in RuntimeError, dist.DistBackendError:
        assert is_peer_failure(kind(message)) == lost


def test_a_lost_store_is_a_lost_process():
    assert is_peer_failure(dist.DistStoreError("wait timeout after 300000ms, keys: /default_pg/0"))
    assert is_peer_failure(dist.DistNetworkError("Failed to recv, got 0 bytes."))


# A process that does not answer


def train_until_one_is_lost(rank: int, what: str) -> None:
    """Four processes exchange numbers twice, of which the second takes part once, or never."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "4"}
    peers.ANSWER_SECONDS = 3.0
    configure_logging()
    if (rank, what) == (1, "comes never"):
        signal.pause()
    distributed = init_distributed(CPU, timeout_seconds=5.0)
    try:
        distributed.all_gather(torch.ones(4))
        if (rank, what) == (1, "ends"):
            os._exit(0)
        if (rank, what) == (1, "hangs"):
            os.kill(os.getpid(), signal.SIGSTOP)
        distributed.all_gather(torch.ones(4))
    except RuntimeError as error:
        if not is_peer_failure(error):
            raise
        peers.end_after_peer_failure(
            distributed.store, distributed.rank, distributed.world_size, error
        )


def lose_one(what: str) -> None:
    """As torchrun: the store is in the process that starts the others, and outlives them."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=9))
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {"TORCHELASTIC_RESTART_COUNT": "0"}
    pids = [fork(train_until_one_is_lost, rank, what) for rank in range(4)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pids[rank], 0)[1]) for rank in (0, 2, 3)]
    os.kill(pids[1], signal.SIGKILL)
    print(*codes)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["ends", "hangs", "comes never"])
def test_a_process_that_does_not_answer_is_named_in_one_line(what):
    script = "import sys; from tests.training.test_peers import *; lose_one(sys.argv[1])"
    result = python(script, what)
    assert result.stdout == "1 1 1\n", result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "[c10d]" not in line]
    assert line.startswith("error: process 0 of 4 gives up; process 1 does not answer: ")


# The processes of the launcher

START = """
import sys
from alexnet.training.launcher import launch
from alexnet.cli.app import run

worker = sys.argv.pop()

def command() -> None:
    launch(2, ["-c", worker])

run(command)
"""


def start_two(tmp_path: Path, worker: str) -> subprocess.CompletedProcess[str]:
    return python(START, worker, TMPDIR=str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("pathlib.Path(os.environ[REPORTED]).touch()", ""),
        (
            "",
            "error: stopped by SIGTERM before its 2 processes had stopped by themselves; run it "
            "again to resume from the last checkpoint, if there is one\n",
        ),
    ],
)
def test_a_process_that_a_signal_stopped_stops_the_command_like_a_signal(tmp_path, report, message):
    """It exits with 128 + the signal's number, and speaks only if no process has."""
    imports = "import os, pathlib, sys; from alexnet.signals import REPORTED"
    result = start_two(tmp_path, f"{imports}\n{report}\nsys.exit(143)")
    assert (result.returncode, result.stderr) == (143, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("sys.exit('the message of the second')", "failed (exit code 1; its message stands above)"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ],
)
def test_when_one_process_fails_all_stop_and_the_error_names_it(tmp_path, end, why):
    """The first would wait forever."""
    worker = f"""
import os, signal, sys
open({str(tmp_path)!r} + "/pid" + os.environ["RANK"], "w").write(str(os.getpid()))
{end} if os.environ["RANK"] == "1" else signal.pause()
"""
    result = start_two(tmp_path, worker)
    assert result.returncode == 1
    assert f"error: process 1 of 2 {why}, and the others were stopped\n" in result.stderr
    others = [line for line in result.stderr.splitlines() if not line.startswith("error: ")]
    assert others in (["the message of the second"], []), "nothing of torchrun's own"
    assert not Path(f"/proc/{(tmp_path / 'pid1').read_text()}").exists()
    if (tmp_path / "pid0").exists():  # it may have been stopped before it could write
        assert not Path(f"/proc/{(tmp_path / 'pid0').read_text() or 'none'}").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"pid0", "pid1"}, "nothing is left over"
