"""An unknown name is answered with the one that was meant, or with all that there are."""

import pytest

from alexnet import config
from alexnet.errors import UserError
from tests.conftest import ROOT

GOOD = (ROOT / "demo/params.yaml").read_text()


@pytest.mark.parametrize(
    ("section", "line", "answer"),
    [
        ("train", "learning_rat: 1", "no such key; did you mean train.learning_rate?"),
        ("train", "dropout: 0.5", "train.dropout: no such key; did you mean model.dropout?"),
        ("model", "batch_size: 8", "did you mean train.batch_size or evaluate.batch_size?"),
        (
            "gate",
            "xyz: 8",
            "gate.xyz: no such key; there are min_accuracy, min_class_recall, max_ca",
        ),
        (None, "trian: {}", "params.yaml: trian: no such key; did you mean train?"),
        (None, "epochs: 2", "params.yaml: epochs: no such key; did you mean train.epochs?"),
        (None, "xyz: 2", "params.yaml: xyz: no such key; there are data, model, train, evaluate,"),
    ],
)
def test_an_unknown_key(tmp_path, section, line, answer):
    text = GOOD.replace(f"\n{section}:\n", f"\n{section}:\n  {line}\n") if section else GOOD + line
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        config.load(tmp_path / "params.yaml")
    assert answer in str(error.value)
