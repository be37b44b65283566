"""A recorded step: every call is one real step, and the replayed run is the eager one."""

from contextlib import contextmanager

import pytest
import torch

from alexnet.network.model import AlexNetCifar
from alexnet.training import trainer as training
from alexnet.training.augmentation import AugmentationParams
from alexnet.training.cuda_graph import NUM_WARM_UP, CUDAGraphStep
from alexnet.training.device import DeviceConfig, make_deterministic
from alexnet.training.loader import Batch
from tests.making import EVERYTHING, settings, trainer_of


def batch_of(*labels):
    """A batch that is told by its labels."""
    n = len(labels)
    images = torch.zeros(n, 2, 2, 3, dtype=torch.uint8)
    return Batch(images, torch.tensor(labels), AugmentationParams(torch.zeros(n, 0), {}), float(n))


class Recorder:
    """CUDA's graphs as far as they are used: what is called while recording is not run."""

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


def test_every_call_is_one_real_step_on_its_own_batch(monkeypatch):
    recorder, taken, num_written = Recorder(monkeypatch), [], 0

    def step(batch):
        nonlocal num_written
        num_written += 1
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
    # As written: the warm-up, the recording, and the two of another shape.
    assert num_written == NUM_WARM_UP + 1 + 2


def test_the_first_batch_is_not_written_over(monkeypatch):
    """It may be the split itself, where one batch is all of it."""
    Recorder(monkeypatch)
    first = batch_of(1, 2)
    replayed = CUDAGraphStep(lambda batch: None)
    replayed(first)
    replayed(batch_of(3, 4))
    assert first.labels.tolist() == [1, 2]


@pytest.fixture
def deterministic():
    make_deterministic(True)
    yield
    torch.use_deterministic_algorithms(False)


def on_gpu(metadata, digits, wrap_step=lambda step_fn: step_fn, use_cuda_graph=True, **changes):
    """A trainer of the whole network: 70 images are four full batches and one of 6."""
    torch.manual_seed(0)
    return trainer_of(
        AlexNetCifar(dropout=0.5),
        metadata,
        digits,
        settings(**(EVERYTHING | changes)),
        num_images=70,
        device_config=DeviceConfig(torch.device("cuda:0"), torch.bfloat16),
        wrap_step=wrap_step,
        use_cuda_graph=use_cuda_graph,
    )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("muon", [None, 0.02])
@pytest.mark.parametrize("data_location", ["device", "host"])
def test_a_replayed_run_equals_an_eager_one_bit_for_bit(
    metadata, digits, deterministic, muon, data_location
):
    """Over 20 steps with dropout, each kind of augmentation and batches of two sizes."""
    changes = {"epochs": 4, "muon_lr": muon, "data_location": data_location}
    replayed = on_gpu(metadata, digits, **changes)
    assert isinstance(replayed.step_fn, CUDAGraphStep)
    eager = on_gpu(metadata, digits, use_cuda_graph=False, **changes)
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
def test_nothing_waits_for_the_device_within_an_epoch(metadata, digits, monkeypatch):
    """From its first step to its last full one, the batches and the rates included."""
    monkeypatch.setattr(training, "LOG_INTERVAL_SECONDS", float("inf"))  # a look does wait
    watched = []

    def watching(step_fn):
        def step(batch):
            # Compilation, recording and validation may wait: the third epoch is past them.
            number = trainer.state.step
            within = number // 5 == 2 and number % 5 < 4
            torch.cuda.set_sync_debug_mode("error" if within else "default")
            step_fn(batch)
            if within:
                watched.append(number)

        return step

    changes = {"epochs": 3, "muon_lr": 0.02, "data_location": "device"}
    trainer = on_gpu(metadata, digits, wrap_step=watching, **changes)
    try:
        trainer.fit(lambda row, seconds: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert watched == [10, 11, 12, 13]
