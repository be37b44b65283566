"""A measurement is of whole steps of the loop that it names."""

from dataclasses import replace

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.device import DeviceConfig
from alexnet.training.loader import Split
from bench.clock import WARM_UP_STEPS
from bench.process import peak_memory, run_in_subprocess
from bench.speed import NullMonitor, Workload, epoch_seconds, measure, take, whole_run

from .conftest import CPU


@pytest.mark.parametrize("loop", ["tutorial", "ours"])
@pytest.mark.usefixtures("here")
def test_a_loop_is_measured_for_so_many_steps(setting, loop, monkeypatch):
    taken = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda *arguments: (taken.append(1), step(*arguments))[1]
    )
    speed = measure(setting, Workload(loop, 8, 40))
    assert len(taken) == WARM_UP_STEPS["cpu"] + 2
    assert (speed.steps, speed.images) == (2, 16)
    assert speed.images_per_second == 16 / speed.seconds
    assert speed.peak_bytes > 4 * 58_322_314, "the weights alone"


@pytest.mark.usefixtures("here")
def test_too_few_steps_are_told(setting):
    train = setting.params.train.model_copy(update={"epochs": 1})
    short = replace(setting, params=setting.params.model_copy(update={"train": train}))
    with pytest.raises(UserError, match="3 steps are too few to measure"):
        measure(short, Workload("tutorial", 16, 40))


def test_images_are_repeated_where_there_are_too_few(digits):
    split = Split(digits[0][:3], digits[1][:3])
    assert take(split, 2).labels.tolist() == digits[1][:2].tolist()
    repeated = take(split, 7)
    assert repeated.labels.tolist() == (digits[1][:3].tolist() * 3)[:7]
    assert torch.equal(repeated.images[5], split.images[2])


@pytest.mark.slow
def test_an_epoch_is_watched_or_not(setting, monkeypatch):
    sampled = []
    note = NullMonitor.record_gradients
    monkeypatch.setattr(
        "alexnet.training.layer_monitor.Vitals.note_gradient",
        lambda self: (sampled.append(self.is_sampling), note(self))[1],
    )
    assert 0 < epoch_seconds(setting, 16, watched=True) < 60
    assert sampled == [False, True] * 4
    sampled.clear()
    assert 0 < epoch_seconds(setting, 16, watched=False) < 60
    assert not any(sampled)


@pytest.mark.slow
def test_a_process_of_its_own_has_its_own_memory():
    """Not the level of the process that started it, as getrusage would say."""
    ballast = torch.ones(100_000_000)  # 400 MB
    assert ballast.nbytes < peak_memory(CPU) - 100e6
    assert run_in_subprocess(peak_memory, CPU) < peak_memory(CPU) - 300e6


def _refuse() -> None:
    raise UserError("no")


@pytest.mark.slow
def test_a_failure_comes_back():
    with pytest.raises(UserError, match="no"):
        run_in_subprocess(_refuse)


@pytest.mark.gpu
@pytest.mark.slow
def test_on_a_gpu(setting, tmp_path):
    """Both loops, and a whole run that finds compiled what the first one has compiled."""
    device_config = DeviceConfig(torch.device("cuda:0"), torch.bfloat16)
    setting = replace(setting, device_config=device_config)
    for loop in ("tutorial", "ours"):
        speed = run_in_subprocess(measure, setting, Workload(loop, 8, 40))
        assert speed.images == 16
        assert speed.peak_bytes > 0
    cold = run_in_subprocess(whole_run, setting, 1, tmp_path)
    assert any(tmp_path.iterdir()), "the compiled step is kept"
    assert 0 < run_in_subprocess(whole_run, setting, 1, tmp_path) < cold
