"""reports/train/history.csv."""

import pytest

from alexnet.errors import UserError
from alexnet.history import Epoch, read, write


def test_round_trip(tmp_path):
    rows = [Epoch(1, 0.05, 2.3, 0.1, 2.2, 0.2, 12.5, 400.0), Epoch(2, 1e-5, 1, 1, 1, 1, 1, 1)]
    path = tmp_path / "train" / "history.csv"
    write(path, rows[:1])
    write(path, rows)
    assert read(path) == rows
    assert path.read_text().splitlines()[:2] == [
        "epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,seconds,"
        "images_per_second",
        "1,0.05,2.3,0.1,2.2,0.2,12.5,400",
    ]


@pytest.mark.parametrize("text", ["epoch,x\n1,2\n", "epoch\n1\n", "a,b\n1,2\n"])
def test_a_file_that_is_not_a_history(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(UserError, match="is not a training history"):
        read(tmp_path / "h.csv")
