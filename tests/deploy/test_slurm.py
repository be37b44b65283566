"""deploy/slurm.sh on a real Slurm of two nodes, which are network namespaces of this machine."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages import paths
from tests.conftest import ROOT, write_params
from tests.stages.attempts import PATIENCE, RESUMING, remove_outputs
from tests.stages.conftest import data as data  # the fixtures
from tests.stages.conftest import project as project
from tests.stages.test_two_nodes import EXACT, missing
from tests.stages.test_two_nodes import nodes as nodes

DAEMONS = ("munged", "slurmctld", "slurmd")
# Debian's 22.05 is older than most clusters'. Each node claims what the script asks for.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=node0
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
ReturnToService=2
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=node[0-1] CPUs=32 Gres=gpu:4 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}

absent = " and ".join(name for name in DAEMONS if shutil.which(name) is None)
reason = missing() or (absent and f"needs {absent} (apt-get install slurm-wlm munge)")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(reason), reason=reason or "none")]


class Cluster:
    """Slurm's daemons, and the project's folder, which both nodes see."""

    def __init__(self, nodes: list[list[str]], folder: Path) -> None:
        self.nodes, self.folder = nodes, folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: list[subprocess.Popen] = []

    def start(self, node: int, *command: object) -> None:
        with (self.folder / f"{command[0]}-{node}.log").open("w") as log:
            daemon = subprocess.Popen(
                [*self.nodes[node], *map(str, command)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.daemons.append(daemon)

    def call(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self.nodes[0], *command], env=self.environment, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def submit(self, *options: str) -> str:
        """Submit the script as its head says, but for one process a node; returns the job's id."""
        return self.call(
            *("sbatch", "--parsable", "--gpus-per-node=1", "--output=slurm.log", *options),
            str(ROOT / "deploy/slurm.sh"),
        )

    def job(self, number: str) -> dict[str, str]:
        fields = self.call("scontrol", "show", "job", "--oneliner", number).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def wait(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def wait_for_end(self, number: str) -> str:
        """Wait until a job is over; returns its state."""
        self.wait(lambda: self.job(number)["JobState"] in OVER)
        return self.job(number)["JobState"]

    def logs(self) -> str:
        """Of the daemons and of the latest job."""
        files = [*self.folder.glob("*.log"), Path("slurm.log")]
        return "\n".join(f"## {file.name}\n{file.read_text()}" for file in files if file.exists())


@pytest.fixture
def cluster(nodes, project, tmp_path_factory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder))
    for gpu in range(4):
        (folder / f"gpu{gpu}").touch()  # in the place of a device
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-3]\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # of which nothing is used
    for name in ("state", "spool-node0", "spool-node1"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    (project / ".venv").symlink_to(sys.prefix)
    cluster = Cluster(nodes, folder)
    try:
        munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        cluster.start(
            0, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge
        )
        cluster.wait((folder / "munge.socket").exists)
        cluster.start(0, "slurmctld", "-D")
        for node in range(2):
            cluster.start(node, "slurmd", "-D")
        cluster.wait(
            lambda: cluster.call("sinfo", "-h", "-t", "idle", "-o", "%D", check=False) == "2"
        )
        yield cluster
    finally:
        cluster.call("scancel", "--signal=KILL", "--user=root", check=False)
        for daemon in reversed(cluster.daemons):
            daemon.terminate()
            daemon.wait(timeout=PATIENCE)


def checkpoints(project: Path) -> list[Path]:
    return list((project / ".checkpoints").rglob("step-*.safetensors"))


def test_two_nodes_end_in_the_weights_of_one_process(cluster, project):
    write_params(project, **EXACT)
    subprocess.run([sys.executable, "-m", "stages.train"], check=True, capture_output=True)
    alone = load_file(paths.WEIGHTS)
    remove_outputs()

    number = cluster.submit()
    assert cluster.wait_for_end(number) == "COMPLETED", cluster.logs()
    assert cluster.job(number)["NodeList"] == "node[0-1]"
    assert "2 processes" in Path("slurm.log").read_text()
    together = load_file(paths.WEIGHTS)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-5, msg=f"{name} differs")


def test_a_job_that_is_cancelled_or_out_of_time_resumes(cluster, project):
    write_params(project, **EXACT | {"train__epochs": 6})

    def has_logged(text: str) -> bool:
        return Path("slurm.log").exists() and text in Path("slurm.log").read_text()

    first = cluster.submit()
    cluster.wait(lambda: has_logged("initial loss"))
    cluster.call("scancel", first)
    assert cluster.wait_for_end(first) == "CANCELLED"
    cluster.wait(lambda: bool(checkpoints(project)))

    second = cluster.submit()
    cluster.wait(lambda: has_logged(RESUMING))
    # As Slurm tells the script that its time is nearly up.
    cluster.call("scancel", "--batch", "--signal=USR1", second)
    cluster.wait(lambda: cluster.job(second)["Restarts"] == "1")
    assert cluster.wait_for_end(second) == "COMPLETED", cluster.logs()
    assert Path("slurm.log").read_text().count(RESUMING) == 2, cluster.logs()
    assert paths.WEIGHTS.exists()
