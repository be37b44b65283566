"""reports/train/history.csv."""

import pytest

from alexnet.errors import UserError
from alexnet.training.history import Epoch, read, write


def test_round_trip(tmp_path):
    rows = [Epoch(1, 0.05, 2.3, 0.1, 2.2, 0.2), Epoch(2, 1e-5, 1, 1, 1, 1)]
    path = tmp_path / "train" / "history.csv"
    write(path, rows[:1])
    write(path, rows)
    assert read(path) == rows
    assert path.read_text().splitlines()[:2] == [
        "epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy",
        "1,0.05,2.3,0.1,2.2,0.2",
    ]


def test_the_same_rows_are_the_same_bytes(tmp_path):
    """A stage's output: it must not hold how long the run took, or when it was."""
    rows = [Epoch(1, 1 / 30, 2.30258509, 0.1, 2.2, 0.2)]
    for name in ("first", "second"):
        write(tmp_path / name, rows)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert (tmp_path / "first").read_bytes().endswith(b"\n1,0.0333333,2.30259,0.1,2.2,0.2\n")


def test_no_epochs_yet(tmp_path):
    write(tmp_path / "h.csv", [])
    assert read(tmp_path / "h.csv") == []


@pytest.mark.parametrize("text", ["epoch,x\n1,2\n", "epoch\n1\n", "a,b\n1,2\n"])
def test_a_file_that_is_not_a_history(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(UserError, match="is not a training history"):
        read(tmp_path / "h.csv")
