"""conv1's filters at some epochs of a run. (That a resumed run keeps the same: test_resume.)"""

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.filter_history import (
    FilterHistory,
    load_filters,
    save_filters,
    snapshot_epochs,
)
from tests.runs import narrow, seeded, settings, train


@pytest.mark.parametrize(
    ("number", "num_epochs", "epochs"),
    [
        (0, 50, []),
        (1, 50, [0, 50]),
        (2, 3, [0, 3]),
        (5, 16, [0, 1, 4, 9, 16]),
        (16, 6, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_epochs_are_closer_at_first(number, num_epochs, epochs):
    assert snapshot_epochs(number, num_epochs) == epochs


@pytest.mark.parametrize("batch_norm", ["none", "folded"])
def test_the_filters_are_those_before_training_and_of_the_result(batch_norm):
    """Those of the last epoch are in the weights that training ends with, folded and averaged."""
    params = settings(epochs=3, filter_snapshots=2, batch_norm=batch_norm, ema_decay=0.8)
    model = seeded()
    before = model.conv1.weight.detach().half()
    state = train(model, params).trainer.state
    assert state.filters.epochs == [0, 3]
    assert torch.equal(state.filters.filters[0], before)
    assert torch.equal(state.filters.filters[1], model.conv1.weight.detach().half())
    assert not torch.equal(*state.filters.filters)


def test_frozen_filters_are_not_kept():
    params = settings(freeze="features", batch_norm="folded", filter_snapshots=4)
    filters = train(seeded(), params).trainer.state.filters
    assert filters.epochs == []
    assert filters.state_dict() == {}


def test_the_file_gives_back_what_was_kept(tmp_path):
    history = FilterHistory(narrow(), 3, 4)
    save_filters(tmp_path / "filters.safetensors", history)
    epochs, filters = load_filters(tmp_path / "filters.safetensors")
    assert epochs == [0, 1, 4]
    assert torch.equal(filters, history.filters)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "filters.safetensors"
    save_filters(path, FilterHistory(narrow(), 3, 4))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"filters\.safetensors is damaged; train again"):
        load_filters(path)
