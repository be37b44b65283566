"""Distributed training: shards, the same steps as one process, and failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.datasets  # noqa: F401 (as the next: slow to import, so before a process forks)
import torch
import torch._dynamo  # which optimisers import
from safetensors.torch import load_file, save_file

from alexnet.errors import UserError
from alexnet.training.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    destroy_distributed,
    init_distributed,
    started_by_torchrun,
)
from alexnet.training.launcher import launch, resolve_world_size
from alexnet.training.loader import Split
from alexnet.training.trainer import Trainer
from tests.conftest import METADATA, ROOT, real_digits
from tests.runs import CPU, EVERYTHING, MUON, ON_CPU, seeded, settings

# Shards of a batch


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_each_image_is_in_one_shard(size):
    """Also of a batch that does not divide evenly, or is smaller than the number of processes.

    The pairs of CutMix (the first two images, and so on) stay together.
    """
    for num_images in (0, 1, 5, 44, 64):
        shards = [
            range(num_images)[DistributedContext(rank, size).shard(num_images)]
            for rank in range(size)
        ]
        assert [image for shard in shards for image in shard] == list(range(num_images))
        sizes = [len(shard) for shard in shards]
        assert max(sizes) - min(sizes) <= 2
        assert all(shard.start % 2 == 0 for shard in shards if shard)


def test_a_single_process_communicates_with_none():
    tensor = torch.tensor([1.0, 2.0])
    assert SINGLE_PROCESS.is_main_process
    assert torch.equal(SINGLE_PROCESS.all_reduce_sum(tensor), tensor)
    assert torch.equal(SINGLE_PROCESS.all_gather(tensor), tensor[None])
    assert SINGLE_PROCESS.all_reduce_max(3, 0) == [3, 0]
    SINGLE_PROCESS.average_([tensor])
    assert tensor.tolist() == [1.0, 2.0]


# The number of processes


def test_there_is_one_process_by_default(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert resolve_world_size("auto", CPU) == 1
    assert resolve_world_size(1, CPU) == 1
    assert not started_by_torchrun()
    assert init_distributed(CPU) is SINGLE_PROCESS


def test_a_process_ends_with_its_launcher(monkeypatch):
    """Also if that has ended before this process could ask for a signal."""
    found = {}

    def elastic_launch(config, python):  # starts the process in this one
        for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", config.run_id)
        return lambda *command: init_distributed(CPU)

    monkeypatch.setenv("ALEXNET_LAUNCHER_PID", "")  # put back in the end
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", elastic_launch)
    monkeypatch.setattr(
        "alexnet.training.distributed.terminate_with_parent", lambda pid: found.update(pid=pid)
    )
    launch(1, ["-m", "stages.train"])
    assert found == {"pid": os.getpid()}


def test_more_processes_than_cores_are_an_error(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert resolve_world_size(3, CPU) == 3
    with pytest.raises(UserError, match=r"train.num_processes: 4 .* there are 3 processor cores"):
        resolve_world_size(4, CPU)


def test_more_processes_than_gpus_are_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert resolve_world_size("auto", torch.device("cuda:0")) == 2
    with pytest.raises(UserError, match=r"train.num_processes: 3 .* there are 2 CUDA GPUs"):
        resolve_world_size(3, torch.device("cuda:0"))


# Two processes against one

CASES = {
    "sgd": {},
    "plain": {"momentum": 0.0, "nesterov": False},
    # A constant rate, so that each weight moves far enough to compare.
    "everything": EVERYTHING | {"clip_norm": 1.0, "schedule": "constant", "warmup_fraction": 0.0},
    "muon": MUON,
    # Without momentum: a maximum of nearly equal values may fall on another one by rounding,
    # and its effect grows.
    "batch norm": {"batch_norm": "folded", "clip_norm": 1.0, "momentum": 0.0, "nesterov": False},
    "frozen": {"freeze": "features", "augmentation": "none", "learning_rate": 1e-3},
}


def train_in_forks(folder: str) -> None:
    """Train each case in one and in two processes, which are forks of this one.

    Seventy-five images in batches of 16 leave 11 for the last one: 6 and 5 for two processes.
    """
    for case in CASES:
        for size in (1, 2):
            children = [fork(train_case, Path(folder), case, rank, size) for rank in range(size)]
            assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [
                0
            ] * size


def fork(function, *arguments) -> int:
    """The id of a process that calls `function` and exits as a program would."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        function(*arguments)
        code = 0
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def train_case(folder: Path, case: str, rank: int, size: int) -> None:
    distributed = SINGLE_PROCESS
    if size > 1:
        as_torchrun_does(folder / f"{case}-store", rank, size)
        distributed = init_distributed(CPU)
    images, labels = real_digits()
    params = settings(**{"epochs": 4, "learning_rate": 0.02} | CASES[case])
    model = seeded(rank)  # the first one's weights are sent to the others
    split, val = Split(images[:75], labels[:75]), Split(images[-700:], labels[-700:])
    rows, labels_of_steps = [], []

    def recording(step_fn):
        def step(batch):
            labels_of_steps.append(batch.gather()[1].tolist())
            step_fn(batch)

        return step

    trainer = Trainer(model, METADATA, split, val, params, ON_CPU, distributed, wrap_step=recording)
    trainer.fit(lambda row, seconds: rows.append([row.train_accuracy, row.val_accuracy]))
    destroy_distributed(distributed)
    assert trainer.state.step == 20
    record = {"rows": rows, "labels": labels_of_steps}
    (folder / f"{case}-{size}-{rank}.json").write_text(json.dumps(record))
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / f"{case}-{size}-{rank}.safetensors")


def average_case(folder: Path, rank: int, size: int) -> None:
    """Each process has its own number, in tensors of either memory format."""
    as_torchrun_does(folder / "store", rank, size)
    distributed = init_distributed(CPU)
    kernel = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    kernel, part = kernel + rank, torch.full((2,), float(rank))
    expected = (kernel + 0.5 - rank).clone()
    distributed.average_([kernel, part])
    assert torch.equal(kernel, expected)
    assert part.tolist() == [0.5, 0.5]
    assert distributed.all_reduce_max(rank, -rank) == [1, 0]
    destroy_distributed(distributed)


def as_torchrun_does(store: Path, rank: int, size: int) -> None:
    """The processes meet through a file, so that no port has to be free."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
    }
    path = str(store.resolve())
    torch.distributed.rendezvous = lambda url, timeout: iter(
        [(torch.distributed.FileStore(path, size), rank, size)]
    )


def python(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    script = (
        "import sys; from tests.training.test_distributed import *; train_in_forks(sys.argv[1])"
    )
    result = python(script, folder)
    assert result.returncode == 0, result.stderr
    return folder


def read(runs: Path, case: str):
    """(weights, record) of one process, and of the first and the second of two."""
    names = [f"{case}-{size}-{rank}" for size, rank in ((1, 0), (2, 0), (2, 1))]
    return [
        (
            load_file(runs / f"{name}.safetensors"),
            json.loads((runs / f"{name}.json").read_text()),
        )
        for name in names
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_steps_of_one(runs, case):
    (one, _), (first, _), (second, _) = read(runs, case)
    start = seeded().state_dict()
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
        torch.testing.assert_close(first[name], value, rtol=0, atol=1e-5, msg=f"{name} differs")
        if case == "frozen" and name.startswith("conv"):
            assert value.equal(start[name]), f"{name} has moved"
        elif not name.startswith("fc1.weight"):  # most of it is 36 copies
            assert (value - start[name]).abs().max() > 1e-4, f"{name} has hardly moved"


@pytest.mark.slow
def test_tensors_of_two_processes_are_averaged(tmp_path):
    script = """
import sys
from tests.training.test_distributed import *
children = [fork(average_case, Path(sys.argv[1]), rank, 2) for rank in range(2)]
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
"""
    result = python(script, tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_batches_and_the_history_of_one(runs, case):
    (_, one), (_, first), (_, second) = read(runs, case)
    together = [a + b for a, b in zip(first["labels"], second["labels"], strict=True)]
    assert together == one["labels"]
    for epoch in range(4):
        assert sum(map(len, together[5 * epoch : 5 * epoch + 5])) == 75, "each image once"
    assert len(first["labels"][4]) - len(second["labels"][4]) == 1, "the last batch is shorter"
    assert first["rows"] == second["rows"] == one["rows"]
