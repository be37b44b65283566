"""history.csv and layers.csv of reports/train."""

import pytest

from alexnet.errors import UserError
from alexnet.training.history import Epoch, LayerEpoch, read, read_layers, write, write_layers


def test_a_history_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "train" / "history.csv"
    write(path, [])
    assert read(path) == []
    rows = [Epoch(1, 0.05, 2.3, 0.1, 2.2, 0.2), Epoch(2, 1e-5, 1, 1, 1, 1)]
    write(path, rows)
    assert read(path) == rows


def test_the_bytes_are_decided_by_the_rows(tmp_path):
    """The file is a stage's output: it must hold neither durations nor dates."""
    write(tmp_path / "h.csv", [Epoch(1, 1 / 30, 2.30258509, 0.1, 2.2, 0.2)])
    assert (tmp_path / "h.csv").read_bytes() == (
        b"epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy\n"
        b"1,0.0333333,2.30259,0.1,2.2,0.2\n"
    )


def test_the_layers_are_written_with_six_digits(tmp_path):
    path = tmp_path / "layers.csv"
    rows = [
        LayerEpoch(1, "conv1", 0.123456789, 12.0, 1.5e-7, 0.0),
        LayerEpoch(1, "fc3", 2.0, 3.0, 0.5, None),
    ]
    write_layers(path, rows)
    assert path.read_text() == (
        "epoch,layer,gradient_norm,weight_norm,update_ratio,dead_relus\n"
        "1,conv1,0.123457,12,1.5e-07,0\n"
        "1,fc3,2,3,0.5,\n"
    )
    assert read_layers(path) == [LayerEpoch(1, "conv1", 0.123457, 12.0, 1.5e-7, 0.0), rows[1]]


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (read, "epoch,x\n1,2\n", r"t\.csv is not a training history"),
        (read, "epoch\n1\n", "is not a training history"),
        (read, "a,b\n1,2\n", "is not a training history"),
        (read_layers, "epoch,layer\n1,conv1\n", r"t\.csv is not a table of layers"),
    ],
)
def test_another_file_is_an_error(tmp_path, reader, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        reader(tmp_path / "t.csv")
