"""A recorded step: each call is one step, and the replayed run equals the eager one."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

from alexnet.network.model import AlexNetCifar
from alexnet.training import trainer as training
from alexnet.training.cuda_graph import NUM_WARM_UP, CUDAGraphStep
from alexnet.training.device import DeviceConfig, make_deterministic
from alexnet.training.loader import Batch
from tests.runs import EVERYTHING, seeded, settings, trainer_of, waiting_is_an_error


class Memory:
    """The batches of a loader, which are the same tensors for the same number of images."""

    def __init__(self):
        self.batches = {}

    def batch_of(self, *labels):
        """A batch that its labels identify."""
        n = len(labels)
        empty = torch.zeros(n, 2, 2, 3, dtype=torch.uint8), torch.zeros(n, dtype=torch.int64)
        new = Batch(*empty, torch.zeros(n, 0), torch.arange(n), n)
        batch = self.batches.setdefault(n, new)
        batch.labels.copy_(torch.tensor(labels))
        return batch


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
    def graph(self, graph, pool=None, capture_error_mode="global"):
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

    def pool(self):
        return 1


@pytest.fixture
def steps(monkeypatch):
    """Takes batches of labels: (the step, labels of the steps taken, calls of the function)."""
    recorder, memory, taken, calls = Recorder(monkeypatch), Memory(), [], []

    def step(batch):
        calls.append(len(batch.labels))
        if recorder.recording:
            recorder.recording.recorded.append(lambda: taken.append(batch.labels.tolist()))
        else:
            taken.append(batch.labels.tolist())

    def make(is_recorded=lambda: False):
        replayed = CUDAGraphStep(step, is_recorded)
        return lambda *labels: replayed(memory.batch_of(*labels))

    return make, taken, calls


def test_each_call_is_one_step_on_its_own_batch(steps):
    """Both kinds of batches are captured after their warm-up: in Python, no more."""
    make, taken, calls = steps
    step, given = make(), []
    for number in range(12):
        given.append([number, number + 1])
        step(*given[-1])
        if number % 3 == 2:  # the last of an epoch, which is shorter
            given.append([100 + number])
            step(*given[-1])
    assert taken == given
    assert calls.count(2) == calls.count(1) == NUM_WARM_UP + 1


def test_a_resume_before_the_short_batch_captures_the_full_one_all_the_same(steps):
    make, taken, calls = steps
    step = make()
    given = [[0]] + [[number, number + 1] for number in range(6)]
    for labels in given:
        step(*labels)
    assert taken == given
    assert calls == [1] + [2] * (NUM_WARM_UP + 1)


def test_steps_that_the_monitor_records_have_a_graph_of_their_own(steps):
    """It reads the gradients in such a step, and in no other."""
    make, taken, calls = steps
    recorded = False
    step = make(lambda: recorded)
    for number in range(12):
        recorded = number % 3 == 2
        step(number, number)
    assert taken == [[number, number] for number in range(12)]
    assert len(calls) == 2 * (NUM_WARM_UP + 1)


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
        device_config=DeviceConfig(torch.device("cuda:0"), torch.bfloat16, compiles=True),
        **options,
    )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("muon", [None, 0.02])
@pytest.mark.parametrize("data_location", ["device", "host"])
def test_a_replayed_run_equals_an_eager_one_bit_for_bit(deterministic, muon, data_location):
    """Over 20 steps with dropout, each augmentation and batches of two sizes."""
    changes = {"epochs": 4, "muon_lr": muon, "data_location": data_location}
    replayed = on_gpu({"wrap_step": lambda step_fn: step_fn}, **changes)
    assert isinstance(replayed.step_fn, CUDAGraphStep)
    eager = on_gpu({"use_cuda_graph": False}, **changes)
    rows = {}
    for name, trainer in (("replayed", replayed), ("eager", eager)):
        rows[name] = []
        trainer.fit(lambda row, seconds, rows=rows[name]: rows.append(row))
        assert trainer.state.step == 20
    assert replayed.step_fn.graphs
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
            with waiting_is_an_error() if within else nullcontext():
                step_fn(batch)
            if within:
                checked.append(number)

        return step

    changes = {"epochs": 3, "muon_lr": 0.02, "data_location": "device"}
    trainer = on_gpu({"wrap_step": without_sync}, **changes)
    trainer.fit(lambda row, seconds: None)
    assert checked == [10, 11, 12, 13]
