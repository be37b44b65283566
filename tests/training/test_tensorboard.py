"""Event files for TensorBoard, where its package is installed."""

import sys
import tomllib
import types

import pytest

from alexnet.errors import UserError
from alexnet.training.history import Epoch
from alexnet.training.tensorboard import Events
from tests.conftest import ROOT

ROWS = [Epoch(1, 0.05, 2.3, 0.1, 2.2, 0.2), Epoch(2, 0.01, 1.5, 0.4, 1.25, 0.6)]


def test_without_the_package_the_error_names_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    message = r"train\.tensorboard: .* not installed; pip install '\.\[tensorboard\]'"
    with pytest.raises(UserError, match=message):
        Events(tmp_path)
    # pip would otherwise install nothing, with a warning.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["tensorboard"]
    assert any(requirement.startswith("tensorboard") for requirement in wanted)


def test_each_epoch_is_written_and_flushed(tmp_path, monkeypatch):
    calls = []

    class Writer:
        def __init__(self, folder):
            calls.append(("open", folder))

        def add_scalar(self, *arguments):
            calls.append(arguments)

        def flush(self):
            calls.append(("flush",))

    package = types.ModuleType("torch.utils.tensorboard")
    package.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    events = Events(tmp_path)
    for row in ROWS:
        events.add(row)
    names = ["learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert calls == [
        ("open", str(tmp_path)),
        *[(name, value, 1) for name, value in zip(names, [0.05, 2.3, 0.1, 2.2, 0.2], strict=True)],
        ("flush",),
        *[(name, value, 2) for name, value in zip(names, [0.01, 1.5, 0.4, 1.25, 0.6], strict=True)],
        ("flush",),
    ]


def test_tensorboard_reads_the_events(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = Events(tmp_path)
    for row in ROWS:
        events.add(row)
    found = accumulator.EventAccumulator(str(tmp_path))
    found.Reload()
    values = [(event.step, event.value) for event in found.Scalars("val_loss")]
    assert values == [(1, pytest.approx(2.2)), (2, pytest.approx(1.25))]
