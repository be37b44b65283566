"""Is what the GPU computes right? The first half of `bench.device`."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from alexnet.files import read_json, sha256
from alexnet.network.weights import save_weights
from alexnet.signals import TrainingInterrupted
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.loader import Batch
from alexnet.training.trainer import StepFn, Trainer
from bench.device_setup import Bench, Setup, first_line, fit, gpu_state, rows_of
from bench.measure import processor
from bench.parts import Recorder
from stages.params import record
from stages.paths import PREPROCESS_PARAMS

ROOT = Path(__file__).parents[1]
STAGES = ("train", "profile", "evaluate", "gate", "export")
EPOCHS = 3  # in which the step is run as written, captured and replayed, the short one too

PACKAGES = "torch triton torchvision numpy pydantic ruamel.yaml typer rich safetensors pillow"
PACKAGES += " scikit-learn requests onnx onnxscript onnxruntime pytest pytest-xdist pytest-timeout"


def environment(setup: Setup, recorder: Recorder) -> None:
    """The machine, its GPU, its driver and its packages."""
    recorder.add(
        python=platform.python_version(),
        kernel=platform.release(),
        processor=processor(),
        compiler=first_line(os.environ.get("CC", "cc"), "--version"),
        packages={name: _version(name) for name in PACKAGES.split()},
        gpu=gpu_state(),
    )
    recorder.check("a GPU", torch.cuda.is_available(), "torch.cuda.is_available()")
    properties = torch.cuda.get_device_properties(0)
    recorder.add(
        card=properties.name,
        memory_bytes=properties.total_memory,
        multiprocessors=properties.multi_processor_count,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        nccl=".".join(map(str, torch.cuda.nccl.version())),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def gpu_tests(setup: Setup, recorder: Recorder) -> None:
    """The tests that need a GPU; in a rehearsal only the quick ones, most of which fail.

    Those of `bench` are left out: the other suite does what they do.
    """
    marked = [
        path
        for path in ROOT.glob("tests/**/test_*.py")
        if "mark.gpu" in path.read_text() and path.parent.name != "bench"
    ]
    log = setup.out / "tests.txt"
    command = [sys.executable, "-m", "pytest", "-v", "-n", "0", "-p", "no:cacheprovider"]
    command += ["-m", "gpu and not slow" if setup.is_rehearsal else "gpu"]
    command += ["--tb=short", "--durations=10", "-o", "filterwarnings=default"]
    with log.open("w") as file, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*command, *map(str, sorted(marked))],
            cwd=ROOT,
            env=environment_of(setup),
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=recorder.seconds_left() - 2,
        )
    text = log.read_text()
    summary = text.rstrip().rpartition("\n")[2].strip("= ")
    recorder.add(summary=summary)
    messages = dict(re.findall(r"^(?:FAILED|ERROR) (\S+) - (.*)$", text, re.MULTILINE))
    # One that was begun and has no result was running when the time was over.
    results: dict[str, str] = {}
    for name, result in re.findall(r"^(tests\S+::\S+)(?: ([A-Z]+))?", text, re.MULTILINE):
        results.setdefault(name, result)  # it may be named again among the warnings
    for name, result in results.items():
        detail = messages.get(name, result.lower() or "not finished")[:300]
        recorder.check(name.removeprefix("tests/"), result == "PASSED", detail)
    recorder.check("the tests end", re.search(r" in [\d.]+s", summary) is not None, summary)


def environment_of(setup: Setup) -> dict[str, str]:
    """For a command of this project in a process of its own."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [ROOT, *(Path(path).absolute() for path in given)]  # it may run in another folder
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "300",  # pytest shortens its messages
        "TORCHINDUCTOR_CACHE_DIR": str(setup.compiled),
        "ALEXNET_CHECKPOINTS": str(setup.work / "checkpoints"),
    }


def stages(setup: Setup, recorder: Recorder) -> None:
    """The pipeline's commands without DVC, a few epochs of training to the exported artifact."""
    project = setup.work / "project"
    # With the checkpoint of an earlier call's training, which would otherwise not be repeated.
    for folder in (project, setup.work / "checkpoints"):
        shutil.rmtree(folder, ignore_errors=True)
    (project / "data").mkdir(parents=True)
    for name in ("raw", "processed"):
        (project / "data" / name).symlink_to(setup.work / name)
    values = setup.params.model_dump()
    values["train"]["epochs"], values["gate"]["min_accuracy"] = EPOCHS, 0.0
    (project / "params.yaml").write_text(json.dumps(values))  # JSON is YAML
    record(PREPROCESS_PARAMS, setup.params, project)  # the stage itself ran as the part `data`
    # What trains and judges needs values, which a rehearsal does not have.
    names = ("profile",) if setup.is_rehearsal else STAGES
    with (setup.out / "stages.txt").open("w") as log:
        for name in names:
            result = subprocess.run(
                [sys.executable, "-m", f"stages.{name}"],
                cwd=project,
                env=environment_of(setup),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            recorder.check(name, result.returncode == 0, f"exit code {result.returncode}")
    read = {"train": "timing", "evaluate": "metrics", "profile": "metrics", "export": "metrics"}
    found = {name: project / "reports" / name / f"{file}.json" for name, file in read.items()}
    recorder.add(**{name: read_json(path) for name, path in found.items() if path.exists()})


def equality(setup: Setup, recorder: Recorder) -> None:
    """Runs of a few epochs that must end in the same bytes: weights, history, layer history."""
    bench = Bench(setup)
    epochs = setup.epochs(EPOCHS)
    reference = bench.trainer(epochs=epochs)
    rows = fit(reference)
    save_weights(setup.work / "weights.safetensors", reference.model, reference.metadata)
    recorder.add(
        epochs=epochs,
        steps=reference.state.step,
        weights_sha256=sha256(setup.work / "weights.safetensors"),
        history=rows_of(rows),
    )
    before = {k: v.clone() for k, v in reference.model.state_dict().items()}
    result = digest(reference)
    del reference

    errors = []

    def compare(name: str, run: Callable[[], Trainer]) -> None:
        try:
            other = run()
        except Exception as error:
            errors.append(f"{name}: {type(error).__name__}: {error}")
            return
        same = digest(other) == result
        recorder.check(name, same, "" if same else difference(before, other))

    def trained(**changes: Any) -> Callable[[], Trainer]:
        def run() -> Trainer:
            other = bench.trainer(epochs=epochs, **changes)
            fit(other)
            return other

        return run

    compare("the same run again", trained())
    compare("steps as written, not replayed", trained(options={"use_cuda_graph": False}))
    compare("interrupted and resumed", lambda: resumed(bench, epochs))
    compare("images streamed from the host", trained(data_location="host"))
    if errors:
        raise RuntimeError("; ".join(errors))


def digest(run: Trainer) -> str:
    """Of all that a run results in."""
    found = hashlib.sha256(repr((run.state.rows, run.state.layer_rows)).encode())
    for name, value in run.model.state_dict().items():
        found.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def difference(before: dict[str, torch.Tensor], run: Trainer) -> str:
    """Where the weights differ, and how much."""
    after = run.model.state_dict()
    largest = {
        name: float((after[name].cpu() - value.cpu()).abs().max())
        for name, value in before.items()
        if not torch.equal(after[name].cpu(), value.cpu())
    }
    if not largest:
        return "the weights are the same, the histories are not"
    name = max(largest, key=lambda name: largest[name])
    return f"{len(largest)} of {len(before)} tensors differ, {name} by {largest[name]:.3g} at most"


def resumed(bench: Bench, epochs: int) -> Trainer:
    """Interrupted in the middle of an epoch, and again before an epoch's short batch."""
    folder = bench.setup.work / "checkpoints"
    shutil.rmtree(folder, ignore_errors=True)
    steps = -(-len(bench.train) // bench.params.train.batch_size)
    for stop in (steps + steps // 2, 2 * steps - 1, None):
        checkpoints = Checkpoints(folder, {"of": "bench.device"})
        run = bench.trainer(epochs=epochs, options={"checkpoints": checkpoints})
        run.step_fn = interrupting(run, stop)
        try:
            fit(run)
            assert stop is None, "the signal came too late"
        except TrainingInterrupted:
            assert run.state.step == stop
        finally:
            checkpoints.close()
    return run


def interrupting(run: Trainer, stop: int | None) -> StepFn:
    """The run's step, with a signal during step number `stop`."""
    step_fn = run.step_fn

    def step(batch: Batch) -> None:
        step_fn(batch)
        if run.state.step + 1 == stop:  # it is counted after this
            os.kill(os.getpid(), signal.SIGTERM)

    return step
