"""A recorded step: each call is one step, and the replayed run equals the eager one."""

from contextlib import contextmanager

import pytest
import torch

from alexnet.network.model import AlexNetCifar
from alexnet.training import trainer as training
from alexnet.training.augmentation import AugmentationParams
from alexnet.training.cuda_graph import NUM_WARM_UP, CUDAGraphStep
from alexnet.training.device import DeviceConfig, make_deterministic
from alexnet.training.loader import Batch
from tests.runs import EVERYTHING, seeded, settings, trainer_of


def batch_of(*labels):
    """A batch that its labels identify."""
    n = len(labels)
    images = torch.zeros(n, 2, 2, 3, dtype=torch.uint8)
    return Batch(images, torch.tensor(labels), AugmentationParams(torch.zeros(n, 0), {}), float(n))


class Recorder:
    """Stands for CUDA graphs: what is called while recording is not run."""

    def __init__(self, monkeypatch):
        self.recording = None
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", self.stream)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", self.graph)

    @contextmanager
    def stream(self, stream):
        yield

    @contextmanager
    def graph(self, graph):
        self.recording = graph
        yield
        self.recording = None


class Stream:
    def wait_stream(self, other):
        pass


class Graph:
    def __init__(self):
        self.recorded = []

    def replay(self):
        for run in self.recorded:
            run()


def test_each_call_is_one_step_on_its_own_batch(monkeypatch):
    recorder, taken, num_calls = Recorder(monkeypatch), [], 0

    def step(batch):
        nonlocal num_calls
        num_calls += 1
        if recorder.recording:
            recorder.recording.recorded.append(lambda: taken.append(batch.labels.tolist()))
        else:
            taken.append(batch.labels.tolist())

    replayed = CUDAGraphStep(step)
    given = [[number, number + 1] for number in range(8)]
    for number, labels in enumerate(given):
        replayed(batch_of(*labels))
        if number % 3 == 2:
            replayed(batch_of(100 + number))  # the last of an epoch, which is shorter
    ragged = [[102], [105]]
    assert taken == given[:3] + ragged[:1] + given[3:6] + ragged[1:] + given[6:]
    # In Python: the warm-up, the recording, and the two of another shape.
    assert num_calls == NUM_WARM_UP + 1 + 2


def test_the_first_batch_is_not_overwritten(monkeypatch):
    """It may be the split itself, where one batch is all of it."""
    Recorder(monkeypatch)
    first = batch_of(1, 2)
    replayed = CUDAGraphStep(lambda batch: None)
    replayed(first)
    replayed(batch_of(3, 4))
    assert first.labels.tolist() == [1, 2]


def test_a_step_that_the_monitor_records_runs_eagerly(monkeypatch):
    """The monitor is Python, which a CUDA graph leaves out."""
    recorder, eagerly, batches = Recorder(monkeypatch), False, []

    def step(batch):
        if recorder.recording:
            recorder.recording.recorded.append(lambda: None)
        else:
            batches.append(batch.labels.tolist())

    replayed = CUDAGraphStep(step, lambda: eagerly)
    for number in range(8):
        eagerly = number == 6
        replayed(batch_of(number))
    assert batches == [[0], [1], [2], [6]]


@pytest.fixture
def deterministic():
    make_deterministic(True)
    yield
    torch.use_deterministic_algorithms(False)


def on_gpu(options, **changes):
    """A trainer of the full network: 70 images are four full batches and one of 6."""
    return trainer_of(
        seeded(dropout=0.5, make=AlexNetCifar),
        settings(**EVERYTHING | changes),
        num_images=70,
        device_config=DeviceConfig(torch.device("cuda:0"), torch.bfloat16),
        **options,
    )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("muon", [None, 0.02])
@pytest.mark.parametrize("data_location", ["device", "host"])
def test_a_replayed_run_equals_an_eager_one_bit_for_bit(deterministic, muon, data_location):
    """Over 20 steps with dropout, each augmentation and batches of two sizes."""
    changes = {"epochs": 4, "muon_lr": muon, "data_location": data_location}
    replayed = on_gpu({}, **changes)
    assert isinstance(replayed.step_fn, CUDAGraphStep)
    eager = on_gpu({"use_cuda_graph": False}, **changes)
    rows = {}
    for name, trainer in (("replayed", replayed), ("eager", eager)):
        rows[name] = []
        trainer.fit(lambda row, seconds, rows=rows[name]: rows.append(row))
        assert trainer.state.step == 20
    assert replayed.step_fn.graph is not None
    for name, value in eager.model.state_dict().items():
        assert torch.equal(replayed.model.state_dict()[name], value), name
    assert rows["replayed"] == rows["eager"]
    assert replayed.state.layer_rows == eager.state.layer_rows


@pytest.mark.gpu
@pytest.mark.slow
def test_nothing_waits_for_the_device_within_an_epoch(monkeypatch):
    """From its first step to its last full one, batches and learning rates included."""
    monkeypatch.setattr(training, "LOG_INTERVAL_SECONDS", float("inf"))  # reading the loss waits
    checked = []

    def without_sync(step_fn):
        def step(batch):
            # Compilation and recording wait; they are over by the third epoch.
            number = trainer.state.step
            within = number // 5 == 2 and number % 5 < 4
            torch.cuda.set_sync_debug_mode("error" if within else "default")
            step_fn(batch)
            if within:
                checked.append(number)

        return step

    changes = {"epochs": 3, "muon_lr": 0.02, "data_location": "device"}
    trainer = on_gpu({"wrap_step": without_sync}, **changes)
    try:
        trainer.fit(lambda row, seconds: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert checked == [10, 11, 12, 13]
