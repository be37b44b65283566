"""Training on two nodes as docs/scaling.md says it: two network namespaces of this machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file

from stages import paths
from tests.conftest import ROOT, write_params
from tests.stages.attempts import NEVER, PATIENCE, SMALL, TRAIN, remove_outputs

ADDRESSES = ["10.213.77.1", "10.213.77.2"]
# Without dropout, whose draws depend on the number of processes, and without batch normalisation
# and its high rates, at which rounding errors grow.
EXACT = SMALL | TRAIN | NEVER | {"train__epochs": 2, "train__batch_size": 120}
EXACT |= {"model__dropout": 0.0, "train__ema_decay": 0.0, "train__batch_norm": "none"}
EXACT |= {"train__init": "default", "train__learning_rate": 0.05, "train__muon_lr": 0.01}


def missing() -> str:
    if os.getuid() != 0:
        return "needs root, for namespaces"
    for tool in "ip", "unshare", "mount":
        if shutil.which(tool) is None:
            return f"needs {tool} (apt-get install iproute2 util-linux mount)"
    probe = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True)
    return "namespaces are not allowed here" if probe.returncode else ""


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "none")]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def nodes(tmp_path) -> Iterator[list[list[str]]]:
    """For each node the command to run a command there. They know each other by name."""
    names = [f"alexnet-{os.getpid()}-{number}" for number in range(2)]
    hosts = tmp_path / "hosts"
    lines = (f"{address} node{number}\n" for number, address in enumerate(ADDRESSES))
    hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))
    try:
        for name in names:
            ip("netns", "add", name)
        first, second = names
        ip(*f"-n {first} link add eth0 type veth peer name eth0 netns {second}".split())
        for name, address in zip(names, ADDRESSES, strict=True):
            ip(*f"-n {name} address add {address}/24 dev eth0".split())
            for device in "lo", "eth0":
                ip(*f"-n {name} link set {device} up".split())
        # `ip netns exec` gives a mount namespace of its own as well.
        script = f'hostname "$0" && mount --bind {hosts} /etc/hosts && exec "$@"'
        yield [
            [*f"ip netns exec {name} unshare --uts sh -c".split(), script, f"node{number}"]
            for number, name in enumerate(names)
        ]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def documented_command() -> list[str]:
    """That of docs/scaling.md, which is the same on each node."""
    text = (ROOT / "docs/scaling.md").read_text()
    (command,) = re.findall(r"^(torchrun --nnodes=2 .*)$", text, re.MULTILINE)
    return command.split()


def test_two_nodes_end_in_the_weights_of_one_process(nodes, project):
    write_params(project, **EXACT)
    subprocess.run([sys.executable, "-m", "stages.train"], check=True, capture_output=True)
    alone = load_file(paths.WEIGHTS)
    remove_outputs()

    torchrun, *options = documented_command()
    assert torchrun == "torchrun"
    command = [sys.executable, "-m", "torch.distributed.run", *options]
    started = [
        subprocess.Popen(
            [*node, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for node in nodes
    ]
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sum("2 processes" in output for output in outputs) == 1, "the main process alone logs"
    together = load_file(paths.WEIGHTS)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-5, msg=f"{name} differs")
