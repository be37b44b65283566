"""Event files for TensorBoard, where its package is installed."""

import sys
import types

import pytest

from alexnet.errors import UserError
from alexnet.training.history import Epoch
from alexnet.training.tensorboard import Events
from tests.conftest import ROOT

ROWS = [Epoch(1, 0.05, 2.3, 0.1, 2.2, 0.2), Epoch(2, 0.01, 1.5, 0.4, 1.25, 0.6)]


def test_without_the_package_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        UserError, match=r"train\.tensorboard: .* not installed; pip install '\.\[t"
    ):
        Events(tmp_path)


def test_the_extra_that_the_message_names_exists():
    """`pip install '.[tensorboard]'` would otherwise install nothing, with a warning."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["tensorboard"]
    assert any(requirement.startswith("tensorboard") for requirement in wanted)


def test_every_figure_of_an_epoch_is_written_at_its_number_and_at_once(tmp_path, monkeypatch):
    calls = []

    class Writer:
        def __init__(self, folder):
            calls.append(("open", folder))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def flush(self):
            calls.append(("flush",))

    package = types.ModuleType("torch.utils.tensorboard")
    package.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    events = Events(tmp_path)
    for row in ROWS:
        events.add(row)
    assert calls == [
        ("open", str(tmp_path)),
        ("learning_rate", 0.05, 1),
        ("train_loss", 2.3, 1),
        ("train_accuracy", 0.1, 1),
        ("val_loss", 2.2, 1),
        ("val_accuracy", 0.2, 1),
        ("flush",),
        ("learning_rate", 0.01, 2),
        ("train_loss", 1.5, 2),
        ("train_accuracy", 0.4, 2),
        ("val_loss", 1.25, 2),
        ("val_accuracy", 0.6, 2),
        ("flush",),
    ]


def test_tensorboard_reads_what_was_written(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = Events(tmp_path / "run")
    for row in ROWS:
        events.add(row)
    found = accumulator.EventAccumulator(str(tmp_path / "run"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("val_loss")] == [
        (1, pytest.approx(2.2)),
        (2, pytest.approx(1.25)),
    ]
