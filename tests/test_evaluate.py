"""Figures and predictions of the evaluate stage."""

import numpy as np
import pytest
import torch

from alexnet.augment import normalise
from alexnet.errors import UserError
from alexnet.evaluate import judge, logits_of, read_predictions, write_predictions
from alexnet.weights import build


def test_logits_in_batches_equal_logits_at_once(card, digits):
    model = build(card, dropout=0.5)
    images = digits[0][:13]
    with torch.inference_mode():
        expected = model.eval()(normalise(images, card.mean, card.std))
    result = logits_of(model.train(), card, images, torch.device("cpu"), batch_size=5)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


def test_figures_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    figures, predictions = judge(logits, torch.tensor([0, 1, 1]), ("cat", "dog"), num_bins=10)
    sure = 1 / (1 + np.exp(-2.0))
    assert figures["n"] == 3
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["loss"] == pytest.approx(-(2 * np.log(sure) + np.log(1 - sure)) / 3)
    assert figures["calibration_error"] == pytest.approx(sure - 2 / 3)
    assert figures["per_class"] == {
        "cat": {"precision": 0.5, "recall": 1.0, "support": 1},
        "dog": {"precision": 1.0, "recall": 0.5, "support": 2},
    }
    assert "top5_accuracy" not in figures, "of two classes the top five always hold the right one"
    assert predictions.predicted.tolist() == [0, 1, 0]
    assert predictions.confidence == pytest.approx([sure] * 3)


def test_top5_where_it_has_a_meaning():
    figures, _ = judge(torch.eye(10), torch.arange(10), tuple("abcdefghij"), num_bins=10)
    assert figures["top5_accuracy"] == 1.0


def test_predictions_round_trip(tmp_path):
    classes = ("a,b", 'say "x"', "ç")
    labels = torch.tensor([0, 1, 2, 2])
    _, predictions = judge(torch.randn(4, 3), labels, classes, num_bins=5)
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions, classes)
    again = read_predictions(path, classes)
    assert again.actual.tolist() == labels.tolist()
    assert again.predicted.tolist() == predictions.predicted.tolist()
    assert again.confidence == pytest.approx(predictions.confidence, abs=1e-6)
    with pytest.raises(UserError, match=r"does not fit the data set's classes .*evaluate again"):
        read_predictions(path, ("a,b", "other", "ç"))
