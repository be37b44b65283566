import numpy as np
import pytest

from alexnet.report.curves import accuracy_curves, learning_rate, loss_curves

from .conftest import make_history
from .layout import all_text, assert_legible


@pytest.mark.parametrize("num_epochs", [1, 3, 15, 50])
@pytest.mark.parametrize("draw", [loss_curves, accuracy_curves, learning_rate])
def test_curves_are_legible_with_few_and_many_epochs(draw, num_epochs):
    assert_legible(draw(make_history(num_epochs)))


@pytest.mark.parametrize(
    ("draw", "keys"),
    [
        (loss_curves, ["train_loss", "val_loss"]),
        (accuracy_curves, ["train_accuracy", "val_accuracy"]),
        (learning_rate, ["learning_rate"]),
    ],
)
def test_lines_hold_the_history(draw, keys):
    history = make_history(7)
    lines = draw(history).axes[0].lines
    for line, key in zip(lines, keys, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), range(1, 8))
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in history])


@pytest.mark.parametrize("num_epochs", [1, 2, 3, 15, 50])
def test_epochs_are_whole_numbers_from_one(num_epochs):
    axes = loss_curves(make_history(num_epochs)).axes[0]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) >= 1 for tick in ticks)


def test_best_validation_epoch_is_ringed_and_named():
    history = make_history(10)
    history[6]["val_accuracy"] = 0.9123
    figure = accuracy_curves(history)
    ring = figure.axes[0].lines[2]
    assert (*ring.get_xdata(), *ring.get_ydata()) == (7, 0.9123)
    assert "epoch 7, 91.23 %" in all_text(figure)


def test_caption_says_how_training_is_measured():
    caption = all_text(accuracy_curves(make_history(3)))
    assert "augmented" in caption
    assert "dropout" in caption


def test_labels_of_lines_that_end_together_are_moved_apart():
    history = make_history(4)
    for row in history:
        row["val_accuracy"] = row["train_accuracy"]
    assert_legible(accuracy_curves(history))


def test_a_history_without_epochs_is_refused():
    with pytest.raises(ValueError, match="no epoch"):
        loss_curves([])
