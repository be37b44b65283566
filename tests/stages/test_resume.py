"""A training run that is killed, stopped or damaged, and run again, ends in the same bytes.

A process that imports PyTorch takes seconds to start. Most runs here are therefore forks
of one that has imported everything, and train the network with a 16th of its channels;
whatever else they run is the command itself. The last tests start it as a user does.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import alexnet.augment
from alexnet import config
from alexnet.checkpoint import Checkpoints
from alexnet.device import Machine
from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.model import AlexNetCifar
from alexnet.processes import ALONE, Processes
from alexnet.train import Trainer
from alexnet.weights import VARIANTS
from stages import paths
from stages import train as stage
from stages.command import run as run_command
from tests.conftest import ROOT, write_params
from tests.making import narrow
from tests.test_processes import as_torchrun_does, fork

OUTCOME = [paths.WEIGHTS, paths.HISTORY, paths.LAYERS]
CHECKPOINTS = Path("checkpoints")  # in the folder of the run
SMALL = {"data__val_fraction": 0.4, "data__test_fraction": 0.4}  # 359 images to train on
TRAIN = {"train__precision": "fp32", "train__device": "cpu", "model__dropout": 0.5}
TRAIN |= {"train__zoom": 0.2, "train__turn": 10.0, "train__tone": 0.2}
TRAIN |= {"train__cutmix": 0.5, "train__cutmix_until": 0.9}
TRAIN |= {"train__ema_decay": 0.9, "train__cutout": 8, "train__batch_size": 32}
EVERY_STEP, NEVER = {"train__checkpoint_seconds": 0.001}, {"train__checkpoint_seconds": 1e9}
PATIENCE = 120.0  # far more than anything here takes, on a busy machine too

two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder in which the digits have been downloaded and preprocessed."""
    folder = tmp_path_factory.mktemp("data")
    write_params(folder, **SMALL)
    for name in ("download", "preprocess"):
        subprocess.run(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch) -> Path:
    """The same in a folder of the test's own, which is also the current one."""
    shutil.copytree(data / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


# Runs that are forks


def in_forks(scenario: Callable[..., dict], **arguments: object) -> dict:
    """What `scenario` returns in a process that may fork: nothing has computed in it before."""
    script = (
        "import json, sys; from tests.stages import test_resume; name, arguments, out = "
        "sys.argv[1:]; result = getattr(test_resume, name)(**json.loads(arguments)); "
        "open(out, 'w').write(json.dumps(result))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, scenario.__name__, json.dumps(arguments), "result.json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(Path("result.json").read_text())


class Attempt:
    """The train command in a fork, or in two that belong together."""

    def __init__(self, size: int = 1, before: Callable[[], None] | None = None) -> None:
        self.logs = [Path(f"log-{rank}") for rank in range(size)]
        Path("store").unlink(missing_ok=True)
        Path("steps").unlink(missing_ok=True)
        self.pids = [fork(self._command, rank, size, before) for rank in range(size)]
        self.codes: list[int] = []

    def _command(self, rank: int, size: int, before: Callable[[], None] | None) -> None:
        log = os.open(self.logs[rank], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        VARIANTS["cifar"] = Narrow
        stage.PATIENCE_SECONDS = 0.0
        Trainer.train_step = counted(Trainer.train_step)
        if size > 1:
            as_torchrun_does(Path("store"), rank, size)
        if before:
            before()
        sys.argv = ["train"]
        run_command(stage.train)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached() and not self.is_over():
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.0005)

    def is_over(self) -> bool:
        """Whether one of the processes has ended; it is not waited for."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return any(os.waitid(os.P_PID, pid, options) for pid in self.pids)

    def send(self, signum: int) -> None:
        for pid in self.pids:
            os.kill(pid, signum)

    def end(self) -> list[int]:
        """Wait for the processes: their exit codes, or -9 where one was killed."""
        self.codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        return self.codes

    def said(self) -> str:
        return "".join(log.read_text() for log in self.logs)


class Narrow(AlexNetCifar):
    """Takes the place of the variant; what it makes has the variant's own class."""

    def __new__(cls, *arguments):
        return narrow(*arguments)


def counted(train_step):
    """Note in a file that a step was taken."""

    def step(self, batch):
        train_step(self, batch)
        if self.processes.is_first:
            with open("steps", "a") as file:
                file.write(".")

    return step


def steps_taken() -> int:
    """Of the attempt under way."""
    path = Path("steps")
    return path.stat().st_size if path.exists() else 0


def kept() -> list[Path]:
    return sorted(CHECKPOINTS.glob("*/step-*.safetensors"))


def newest_step() -> int:
    return max((int(path.stem.removeprefix("step-")) for path in kept()), default=0)


def is_half_written() -> bool:
    """Whether the kill came while a checkpoint was written or an old one removed."""
    digests = {path.with_suffix(".sha256") for path in kept()}
    others = {*CHECKPOINTS.glob("*/.*.tmp"), *CHECKPOINTS.glob("*/step-*.sha256")} - digests
    return bool(others) or len(kept()) > 2 or not all(path.exists() for path in digests)


def outcome() -> list[str]:
    """The bytes of a complete run, which has left nothing behind."""
    assert not list(CHECKPOINTS.iterdir()), "checkpoints are gone"
    return [sha256(path) for path in OUTCOME]


def forget() -> None:
    for path in OUTCOME:
        path.unlink()


def completed(size: int = 1) -> dict:
    """A run that nothing stands in the way of: its bytes, and what it said."""
    attempt = Attempt(size)
    assert attempt.end() == [0] * size, attempt.said()
    return {"bytes": outcome(), "said": attempt.said()}


def uninterrupted(size: int = 1, **changes: object) -> list[str]:
    """And then the parameters of the run that is about to be disturbed."""
    write_params(Path(), **SMALL | TRAIN | changes | NEVER)
    result = completed(size)["bytes"]
    forget()
    write_params(Path(), **SMALL | TRAIN | changes | EVERY_STEP)
    return result


def die_at(operation: int) -> None:
    """SIGKILL for this process when it opens, renames or removes a checkpoint, the n-th time."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in {"open", "os.rename", "os.remove"}:
            path = str(arguments[0])
            seen += path.startswith(str(CHECKPOINTS)) and "step-" in path
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_and_run_again(size: int, num_kills: int) -> dict:
    """Kill at random: every other time while checkpoints are handled, else at any moment."""
    expected = uninterrupted(size, train__epochs=5)
    chance = random.Random(0)
    kills = half_written = 0
    ended_in = []
    while kills < num_kills:  # where a busy machine lets one be completed before, from the start
        while True:
            before = None
            if kills % 2:
                operation = chance.randint(1, 40)
                before = lambda operation=operation: die_at(operation)  # noqa: E731
            attempt = Attempt(size, before)
            if kills >= num_kills:
                break
            if before:
                attempt.wait_until(lambda: False)
            else:
                steps, delay = chance.randint(0, 3), chance.random()
                attempt.wait_until(lambda: steps_taken() >= steps)  # noqa: B023
                time.sleep(delay * (0.03 if steps else 0.3))
            attempt.send(signal.SIGKILL)
            if 0 in attempt.end():
                break
            kills += 1
            half_written += is_half_written()
        assert set(attempt.codes or attempt.end()) == {0}, attempt.said()
        ended_in.append(outcome())
        forget()
    return {
        "expected": expected,
        "ended_in": ended_in,
        "kills": kills,
        "half_written": half_written,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "num_kills"), [(1, 24), pytest.param(2, 10, marks=two_cores)], ids=["one", "two"]
)
def test_killed_at_random_moments_it_ends_in_the_same_bytes(project, size, num_kills):
    result = in_forks(kill_and_run_again, size=size, num_kills=num_kills)
    assert result["kills"] == num_kills
    assert result["half_written"] >= num_kills // 6, "some while a checkpoint was written"
    assert result["ended_in"], "it was completed"
    for digests in result["ended_in"]:
        assert digests == result["expected"]


def tell_to_stop() -> dict:
    """SIGTERM and SIGINT at random steps. The only checkpoint is the one that they cause."""
    expected = uninterrupted(train__epochs=3)
    write_params(Path(), **SMALL | TRAIN | NEVER, train__epochs=3)
    chance = random.Random(1)
    stops = []
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        start, steps = newest_step(), chance.randint(1, 8)
        attempt = Attempt()
        attempt.wait_until(lambda: steps_taken() >= steps)  # noqa: B023
        attempt.send(signum)
        (code,) = attempt.end()
        taken = start + steps_taken()
        stops.append([signum, code, taken, newest_step(), attempt.said()])
    return {"expected": expected, "stops": stops, **completed()}


@pytest.mark.slow
def test_told_to_stop_it_keeps_the_last_step(project):
    result = in_forks(tell_to_stop)
    for signum, code, taken, kept, said in result["stops"]:
        assert code == 128 + signum
        assert kept == taken
        name = signal.Signals(signum).name
        last = said.splitlines()[-1]
        assert last == (
            f"error: stopped by {name} after step {taken} of 36; run it again to go on from there"
        )
        assert "Traceback" not in said
    assert f"going on from the checkpoint at step {taken} of 36" in result["said"]
    assert result["bytes"] == result["expected"]


def kill_after(steps: int) -> None:
    """A run of which two checkpoints are there, the newest in doubt, and no process."""
    attempt = Attempt()
    attempt.wait_until(lambda: newest_step() >= steps and len(kept()) == 2)
    attempt.send(signal.SIGKILL)
    assert attempt.end() == [-signal.SIGKILL], attempt.said()
    for path in kept():  # whole ones only, so that what a test damages is what is read
        if not path.with_suffix(".sha256").exists():
            path.unlink()


def flip_a_bit(path: Path) -> str:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return str(path)


def damage() -> dict:
    """Each kind of damage to a run that was killed, and how the next attempt takes it."""
    expected = uninterrupted(train__epochs=2)
    result: dict = {"expected": expected}

    kill_after(6)
    older, newer = newest_step() - 1, kept()[-1]
    assert len(kept()) == 2
    result["newest"] = {"path": flip_a_bit(newer), "older": older, **completed()}
    forget()

    kill_after(6)
    result["both"] = {"paths": [flip_a_bit(path) for path in kept()], **completed()}
    forget()

    kill_after(6)
    older = newest_step() - 1
    kept()[-1].with_suffix(".sha256").unlink()
    result["no digest"] = {"older": older, **completed()}
    forget()

    kill_after(6)
    attempt = Attempt(before=full_disk)
    result["full disk"] = {"code": attempt.end()[0], "told": attempt.said()}
    result["full disk"] |= {"step": newest_step(), "failed at": steps_taken(), **completed()}
    return result


def full_disk() -> None:
    """A limit on the size of files stands for it; a checkpoint does not fit."""
    values = Path("params.yaml").read_text()
    Path("params.yaml").write_text(values.replace("error: continue", "error: stop"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.fixture(scope="module")
def damaged(data, tmp_path_factory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("damaged")
        shutil.copytree(data / "data", folder / "data")
        patch.chdir(folder)
        patch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
        patch.setenv("PYTHONPATH", str(ROOT))
        return in_forks(damage)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_said_and_the_older_one_is_used(damaged):
    found = damaged["newest"]
    assert f"checkpoint {found['path']} is damaged" in found["said"]
    assert f"going on from the checkpoint at step {found['older']} of 24" in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_where_both_are_damaged_it_starts_over(damaged):
    found = damaged["both"]
    assert len(found["paths"]) == 2
    assert all(f"checkpoint {path} is damaged" in found["said"] for path in found["paths"])
    assert "going on" not in found["said"]
    assert "initial loss" in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_a_checkpoint_without_its_digest_is_passed_over(damaged):
    found = damaged["no digest"]
    assert f"going on from the checkpoint at step {found['older']} of 24" in found["said"]
    assert "damaged" not in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_a_full_disk_stops_it_where_that_is_wanted(damaged):
    found = damaged["full disk"]
    assert found["code"] == 1
    assert found["failed at"] == 1, "at the first step, whose checkpoint does not fit"
    (error,) = [line for line in found["told"].splitlines() if line.startswith("error: ")]
    assert f"step-{found['step'] + 1:09}.safetensors" in error or "File too large" in error
    assert "Traceback" not in found["told"]
    assert f"going on from the checkpoint at step {found['step']} of 24" in found["said"]
    assert found["bytes"] == damaged["expected"]


def others() -> dict:
    """A second process in the same run, and one of two that is lost."""
    uninterrupted(train__epochs=5)
    first = Attempt()
    first.wait_until(lambda: steps_taken() >= 1)
    first.send(signal.SIGSTOP)
    log = first.logs[0].rename("log-first")
    second = Attempt()
    result: dict = {"second": [second.end(), second.said()]}
    first.send(signal.SIGCONT)
    result["first"] = [first.end(), log.read_text()]

    pair = Attempt(2)
    pair.wait_until(lambda: steps_taken() >= 2)
    os.kill(pair.pids[1], signal.SIGKILL)
    result["pair"] = [pair.end(), pair.said()]
    return result


@pytest.mark.slow
@two_cores
def test_a_second_process_is_refused_and_a_lost_one_is_told(project):
    result = in_forks(others)
    (code,), said = result["second"]
    assert code == 1
    assert "error: another process is in the middle of this very run" in said
    assert "Traceback" not in said
    assert result["first"][0] == [0], "it is not disturbed"
    (code, killed), said = result["pair"]
    assert (code, killed) == (1, -signal.SIGKILL)
    assert "error: process 0 has lost another one: " in said
    assert "Traceback" not in said


# Whose a checkpoint is


@pytest.fixture
def values(project) -> config.Params:
    write_params(project, **SMALL | TRAIN)
    return config.load(paths.PARAMS)


ON_CPU = Machine(torch.device("cpu"), torch.float32)


def folder_of(
    values: config.Params, machine: Machine = ON_CPU, processes: Processes = ALONE
) -> Path:
    checkpoints: Checkpoints = stage._checkpoints(values, machine, processes)
    checkpoints.close()
    return checkpoints.folder


def changed(values: config.Params, section: str, **update: object) -> config.Params:
    part = getattr(values, section).model_copy(update=update)
    return values.model_copy(update={section: part})


def test_the_same_run_finds_its_checkpoints(values):
    assert folder_of(values) == folder_of(values)


# What each key of train and model may be, other than in the demo.
OTHER = {
    "seed": 1,
    "device": "auto",
    "precision": "auto",
    "deterministic": False,
    "fold": "off",
    "epochs": 7,
    "batch_size": 33,
    "learning_rate": 0.06,
    "muon_learning_rate": 0.01,
    "muon_weight_decay": 0.1,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 0.1,
    "clip_norm": None,
    "schedule": "cosine",
    "warmup_fraction": 0.2,
    "ema_decay": 0.5,
    "label_smoothing": 0.2,
    "crop_size": 30,
    "crop_padding": 3,
    "flip": "random",
    "zoom": 0.1,
    "turn": 5.0,
    "cutout": 4,
    "tone": 0.1,
    "cutmix": 0.3,
    "cutmix_until": 0.5,
    "lighting": 0.1,
    "num_processes": 2,
    "data_device": "host",
    "checkpoint_seconds": 3.0,
    "checkpoint_error": "stop",
    "tensorboard": True,
}


@pytest.mark.parametrize("key", config.Train.model_fields)
def test_the_parameters_decide_and_how_the_run_is_carried_out_does_not(values, key):
    other = changed(values, "train", **{key: OTHER[key]})
    assert other != values
    assert (folder_of(other) == folder_of(values)) == (key in config.CARRIES_OUT)


@pytest.mark.parametrize(
    ("section", "key", "value", "same"),
    [
        ("model", "variant", "one-weird-trick", False),
        ("model", "dropout", 0.1, False),
        ("model", "ops", "reference", False),
        ("data", "source", "elsewhere", True),  # what was made of it is looked at
        ("evaluate", "batch_size", 7, True),
        ("export", "opset", 19, True),
    ],
)
def test_of_the_other_sections_the_model_decides(values, section, key, value, same):
    assert (folder_of(changed(values, section, **{key: value})) == folder_of(values)) == same


@pytest.mark.parametrize("name", ["train.safetensors", "val.safetensors", "meta.json"])
def test_the_data_decides(values, name):
    before = folder_of(values)
    flip_a_bit(paths.PROCESSED / name)
    assert folder_of(values) != before


def test_the_test_images_do_not_decide(values):
    before = folder_of(values)
    flip_a_bit(paths.PROCESSED / "test.safetensors")
    assert folder_of(values) == before


def test_the_code_decides(values, project, monkeypatch):
    before = folder_of(values)
    library = shutil.copytree(Path(alexnet.augment.__file__).parent, project / "alexnet")
    monkeypatch.setattr(config, "__file__", str(library / "config.py"))
    assert folder_of(values) == before, "wherever it lies"
    with (library / "augment.py").open("a") as file:
        file.write("# a change\n")
    assert folder_of(values) != before


def test_what_a_command_happens_to_import_does_not_decide(values):
    """`alexnet train` imports more of the library than `python -m stages.train`."""
    script = (
        "{}; from pathlib import Path; from alexnet import config; from alexnet.device import "
        "Machine; import torch; from alexnet.processes import ALONE; from stages import train; "
        "print(train._checkpoints(config.load(Path('params.yaml')), "
        "Machine(torch.device('cpu'), torch.float32), ALONE).folder)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script.format(imports)], capture_output=True, text=True
        ).stdout
        for imports in ("import stages.cli", "import stages.train")
    ]
    assert found[0] == found[1] != ""


def test_the_machine_decides(values):
    before = folder_of(values)
    assert folder_of(values, Machine(ON_CPU.device, torch.bfloat16)) != before
    assert folder_of(values, processes=Processes(0, 2)) != before


def test_a_run_that_is_under_way_is_refused(values):
    under_way = stage._checkpoints(values, ON_CPU, ALONE)
    with pytest.raises(UserError, match="in the middle of this very run"):
        stage._checkpoints(values, ON_CPU, ALONE)
    under_way.close()


# As a user starts it: the whole network, three steps an epoch

WHOLE = SMALL | TRAIN | {"train__epochs": 2, "train__batch_size": 120, "train__ema_decay": 0.0}


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(command or ("-m", "stages.train"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    """Until that checkpoint is whole."""
    deadline = time.monotonic() + PATIENCE
    digest = f"*/step-{step:09}.sha256"
    while process.poll() is None and not list(CHECKPOINTS.glob(digest)):
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.001)


def end(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, said + errors
    assert "Traceback" not in errors
    return said, errors


@pytest.mark.slow
def test_the_command_itself_is_killed_and_told_to_stop(project):
    write_params(project, **WHOLE | NEVER)
    end(start(), code=0)
    expected = outcome()
    forget()

    write_params(project, **WHOLE | EVERY_STEP)
    killed = start()
    wait_for_step(killed, 1)
    killed.kill()
    end(killed, code=-signal.SIGKILL)

    told = start()
    wait_for_step(told, 3)
    told.terminate()
    said, errors = end(told, code=143)
    assert "going on from the checkpoint at step" in said
    assert errors.startswith("error: stopped by SIGTERM after step ")
    assert f"after step {newest_step()} of 6; run it again to go on" in errors

    end(start(), code=0)
    assert outcome() == expected


@pytest.mark.slow
@two_cores
def test_two_processes_as_torchrun_and_the_command_start_them(project):
    write_params(project, **WHOLE | NEVER)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    said, _ = end(start(*torchrun, "-m", "stages.train"), code=0)
    assert "2 processes" in said
    expected = outcome()
    forget()

    write_params(project, **WHOLE | EVERY_STEP, train__num_processes=2)
    killed = start()
    wait_for_step(killed, 1)
    workers = children_of(killed)
    assert len(workers) == 2
    killed.kill()  # nobody is left to stop the two, and they stop
    end(killed, code=-signal.SIGKILL)
    wait_for_the_end_of(workers)

    told = start()
    wait_for_step(told, 3)
    workers = children_of(told)
    assert len(workers) == 2
    told.terminate()
    said, errors = end(told, code=143)
    assert "going on from the checkpoint at step" in said
    assert errors.splitlines() == [
        f"error: stopped by SIGTERM after step {newest_step()} of 6; "
        "run it again to go on from there",
        "error: stopped by SIGTERM with its 2 processes; run it again to go on from there",
    ]
    assert not any(is_alive(pid) for pid in workers)

    said, errors = end(start(), code=0)
    assert errors == ""
    assert outcome() == expected


def children_of(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.01)


def test_more_processes_than_there_are_cores_are_refused(project):
    write_params(project, **WHOLE, train__num_processes=1000)
    _, errors = end(start(), code=1)
    assert errors.startswith("error: train.num_processes: 1000 are asked for, but there are ")
    assert "processor cores here" in errors
