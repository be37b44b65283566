"""The loops by the clock."""

from dataclasses import replace

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.device import DeviceConfig
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import Split
from alexnet.training.muon import Muon
from bench import expert, loops, tutorial
from bench.loops import (
    Workload,
    epoch_seconds,
    first_images,
    measure,
    run_seconds,
    warm_up_steps,
)
from bench.measure import WARM_UP_STEPS, run_in_subprocess

from .conftest import CPU


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loop", "optimizer"),
    [("tutorial", torch.optim.SGD), ("expert", torch.optim.SGD), ("ours", Muon)],
)
@pytest.mark.usefixtures("here")
def test_a_loop_takes_the_warm_up_and_the_measured_steps(context, loop, optimizer, monkeypatch):
    taken = []
    step = optimizer.step
    monkeypatch.setattr(
        optimizer, "step", lambda *arguments: (taken.append(1), step(*arguments))[1]
    )
    speed = measure(context, Workload(loop, 8, 40))
    assert len(taken) == WARM_UP_STEPS["cpu"] + 2
    assert (speed.steps, speed.images) == (2, 16)
    assert speed.images_per_second == 16 / speed.seconds
    assert speed.peak_bytes > 4 * 58_322_314, "the weights alone"


@pytest.mark.usefixtures("here")
def test_too_few_steps_are_an_error(context):
    train = context.params.train.model_copy(update={"epochs": 1})
    short = replace(context, params=context.params.model_copy(update={"train": train}))
    with pytest.raises(UserError, match="3 steps are too few to measure"):
        measure(short, Workload("tutorial", 16, 40))


def test_a_split_that_is_too_small_is_repeated(digits):
    split = Split(digits[0][:3], digits[1][:3])
    assert first_images(split, 2).labels.tolist() == digits[1][:2].tolist()
    repeated = first_images(split, 7)
    assert repeated.labels.tolist() == (digits[1][:3].tolist() * 3)[:7]
    assert torch.equal(repeated.images[5], split.images[2])


@pytest.mark.slow
def test_all_loops_train_on_the_same_images(context, monkeypatch):
    given = {}

    class Stopped(Exception):  # noqa: N818
        pass

    def capture(name, position):
        def replacement(*arguments, **named):
            part = arguments[position]
            given[name] = part.images if isinstance(part, Split) else part
            raise Stopped

        return replacement

    monkeypatch.setattr(tutorial, "make_loader", capture("tutorial", 0))
    monkeypatch.setattr(expert, "Images", capture("expert", 0))
    monkeypatch.setattr(loops, "Trainer", capture("ours", 2))
    for loop in loops.LOOPS:
        with pytest.raises(Stopped):
            measure(context, Workload(loop, 8, 50))
    assert torch.equal(given["tutorial"], given["ours"])
    assert torch.equal(given["expert"], given["ours"])
    assert len(given["ours"]) == 50


@pytest.mark.parametrize("baseline", [tutorial, expert])
def test_a_baseline_gets_pytorchs_own_convolutions(context, baseline, monkeypatch):
    found = []
    monkeypatch.setattr(baseline, "train", lambda model, *_: found.append(type(model.conv1)))
    measure(context, Workload(baseline.__name__.removeprefix("bench."), 8, 40))
    assert found == [torch.nn.Conv2d]


@pytest.mark.slow
def test_an_epoch_is_monitored_or_not(context, monkeypatch):
    recorded = []
    record_gradients = LayerMonitor.record_gradients
    monkeypatch.setattr(
        LayerMonitor,
        "record_gradients",
        lambda self: (recorded.append(self.is_recording), record_gradients(self))[1],
    )
    assert 0 < epoch_seconds(context, 16, monitored=True) < 60
    assert recorded == [False, True] * 4
    recorded.clear()
    assert 0 < epoch_seconds(context, 16, monitored=False) < 60
    assert not any(recorded)


def test_on_a_gpu_a_compiled_loops_warm_up_has_every_kind_of_step():
    """Each is captured the third time it comes; some kinds come once an epoch."""
    gpu = torch.device("cuda:0")
    for loop in ("expert", "ours"):
        assert warm_up_steps(loop, gpu, steps_per_epoch=94) == 3 * 94 + 1
        assert warm_up_steps(loop, CPU, steps_per_epoch=94) == WARM_UP_STEPS["cpu"]
    assert warm_up_steps("tutorial", gpu, steps_per_epoch=94) == WARM_UP_STEPS["cuda"]


@pytest.mark.gpu
@pytest.mark.slow
def test_on_a_gpu_all_loops_run_and_compiled_code_is_reused(context, tmp_path):
    device_config = DeviceConfig(torch.device("cuda:0"), torch.bfloat16, compiles=True)
    context = replace(context, device_config=device_config)
    for loop in loops.LOOPS:
        speed = run_in_subprocess(measure, context, Workload(loop, 8, 40))
        assert speed.images == 16
        assert speed.peak_bytes > 0
    cold = run_in_subprocess(run_seconds, context, 1, tmp_path)
    assert any(tmp_path.iterdir()), "the compiled step is kept"
    assert 0 < run_in_subprocess(run_seconds, context, 1, tmp_path) < cold
