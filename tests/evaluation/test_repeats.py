"""The mean and the standard deviation over seeds."""

import json

import numpy as np
import pytest

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.repeats import Repeats, SeedResult, TrainingResult, read_repeats
from alexnet.training.history import Epoch
from tests.conftest import write_params

ACCURACIES = (0.8412, 0.8475, 0.8391, 0.8433)


def results(*accuracies: float) -> Repeats:
    """Of runs that differ in their accuracy on the test images."""
    rest = {"train_accuracy": 0.9, "val_accuracy": 0.85, "test_loss": 0.5}
    runs = (SeedResult(seed=n, test_accuracy=a, **rest) for n, a in enumerate(accuracies))
    return Repeats(tuple(runs))


def test_mean_and_sample_deviation_are_those_of_numpy():
    repeats = results(*ACCURACIES)
    assert repeats.mean("test_accuracy") == pytest.approx(np.mean(ACCURACIES), abs=1e-15)
    assert repeats.std("test_accuracy") == pytest.approx(np.std(ACCURACIES, ddof=1), rel=1e-12)
    assert repeats.std("test_loss") == 0


def test_the_file_has_the_statistics_and_can_be_read_again(tmp_path):
    for repeats in (results(*ACCURACIES), results(0.5)):
        values = repeats.as_dict()
        (tmp_path / "repeat.json").write_text(json.dumps(values))
        assert read_repeats(tmp_path / "repeat.json") == repeats
        assert values["num_runs"] == len(values["runs"])
        assert values["mean"].keys() == values["std"].keys() == values["runs"][0].keys() - {"seed"}
    assert values["mean"]["test_accuracy"] == 0.5
    assert values["std"]["test_accuracy"] is None, "a single run has no deviation"


def test_a_training_from_nothing_is_in_no_mean(tmp_path):
    plain = results(*ACCURACIES)
    other = TrainingResult(results(0.1).runs[0], (Epoch(1, 0.1, 2.0, 0.25, 1.5, 0.5),))
    both = Repeats(plain.runs, other)
    assert "from_nothing" not in plain.as_dict()
    values = both.as_dict()
    assert values.pop("from_nothing")["history"][0]["val_accuracy"] == 0.5
    assert values == plain.as_dict()
    (tmp_path / "repeat.json").write_text(json.dumps(both.as_dict()))
    assert read_repeats(tmp_path / "repeat.json") == both


def test_a_training_from_nothing_that_cannot_normalise_is_refused(tmp_path):
    """The first run has no layer to normalise, and one image a step is enough for it."""
    started = {"model__start_from": "w", "train__freeze": "all_but_last"}
    started |= {"train__batch_size": 1, "train__batch_norm": "folded"}
    write_params(tmp_path, **started)
    config.load(tmp_path / "params.yaml")
    write_params(tmp_path, **started, repeat__from_nothing=True)
    with pytest.raises(
        UserError, match=r"repeat\.from_nothing: trains all layers, and with one im"
    ):
        config.load(tmp_path / "params.yaml")
