"""Loss, accuracy, learning rate, and the stability of each layer."""

import numpy as np
import pytest

from alexnet.report.curves import (
    DASHED,
    accuracy_curves,
    epoch_positions,
    learning_rate,
    loss_curves,
)
from alexnet.report.stability import spread_apart, stability

from .conftest import make_history, make_layer_rows
from .layout import all_text, assert_legible

KEYS = {
    loss_curves: ["train_loss", "val_loss"],
    accuracy_curves: ["train_accuracy", "val_accuracy"],
    learning_rate: ["learning_rate"],
}


@pytest.mark.parametrize("num_epochs", [1, 2, 3, 15, 50])
@pytest.mark.parametrize("draw", KEYS)
def test_curves_are_legible_and_hold_the_history(draw, num_epochs):
    history = make_history(num_epochs)
    figure = draw(history)
    assert_legible(figure)
    axes = figure.axes[0]
    for line, key in zip(axes.lines, KEYS[draw], strict=False):
        np.testing.assert_array_equal(line.get_xdata(), range(1, num_epochs + 1))
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in history])
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) >= 1 for tick in ticks)


def test_the_exported_epoch_is_ringed_and_the_best_one_a_remark():
    history = make_history(10)
    history[6]["val_accuracy"] = 0.9123
    figure = accuracy_curves(history)
    ring = figure.axes[0].lines[2]
    assert (*ring.get_xdata(), *ring.get_ydata()) == (10, history[-1]["val_accuracy"])
    text = all_text(figure)
    assert "validation accuracy 75.00 % in the exported epoch" in text
    assert "Highest validation accuracy: 91.23 %, in epoch 7." in text
    assert "with any augmentation and dropout" in text


@pytest.mark.parametrize(("num_epochs", "num_others"), [(1, 0), (10, 0), (5, 8), (8, 5)])
def test_values_are_read_where_the_epochs_are_drawn(num_epochs, num_others):
    history, other = make_history(num_epochs), make_history(num_others) if num_others else ()
    figure = loss_curves(history, other)
    axes = figure.axes[0]
    positions = epoch_positions(history, other)
    assert list(positions) == list(range(1, max(num_epochs, num_others) + 1))
    for epoch, share in positions.items():
        x, _ = figure.transFigure.inverted().transform(axes.transData.transform((epoch, 0)))
        assert share == pytest.approx(x)


def test_labels_of_lines_that_end_together_are_moved_apart():
    history = make_history(4)
    for row in history:
        row["val_accuracy"] = row["train_accuracy"]
    assert_legible(accuracy_curves(history))


@pytest.mark.parametrize(("draw", "message"), [(loss_curves, "no epochs"), (stability, "no row")])
def test_an_empty_table_is_an_error(draw, message):
    with pytest.raises(ValueError, match=message):
        draw([])


@pytest.mark.parametrize("num_epochs", [1, 45])
def test_stability_is_legible_and_names_the_dead_relus(num_epochs):
    rows = make_layer_rows(num_epochs)
    figure = stability(rows)
    assert_legible(figure)
    text = all_text(figure)
    assert "differ by a factor of 10,000,000; largest share of dead ReLUs 25.0 %, in fc2" in text
    # Of each of the eight layers a curve and the line to its name; fc3 has no ReLU.
    assert [len(axes.lines) for axes in figure.axes] == [16, 16, 16, 14]
    assert figure.axes[0].lines[2].get_ydata()[-1] == pytest.approx(1e-2 / num_epochs)
    assert "folded" not in text
    assert "folded" in all_text(stability(rows, is_folded=True))
    few = [row | {"dead_relus": row["dead_relus"] and 1 / 4096} for row in rows]
    assert "<0.1 %" in all_text(stability(few))
    alive = [row | {"dead_relus": row["dead_relus"] and 0.0} for row in rows]
    assert "no dead ReLUs" in all_text(stability(alive))


def test_labels_keep_their_order_and_their_distance():
    placed = spread_apart({"a": 0.99, "b": 0.98, "c": 0.5, "d": 0.0}, 0.1)
    assert placed == pytest.approx({"a": 1.0, "b": 0.9, "c": 0.5, "d": 0.0})


@pytest.mark.parametrize("draw", [loss_curves, accuracy_curves])
def test_both_starts_are_in_one_figure(draw):
    """Each curve with its own values and name; the warm start's exported epoch is ringed."""
    history, other = make_history(6), make_history(6)
    for row in other:
        row |= {key: value * 0.9 for key, value in row.items() if key != "epoch"}
    figure = draw(history, other, f"{DASHED} A note.")
    assert_legible(figure)
    lines, what = figure.axes[0].lines, draw.__name__.split("_")[0]
    drawn = [(rows, f"{split}_{what}") for rows in (history, other) for split in ("train", "val")]
    for line, (rows, key) in zip(lines, drawn, strict=False):
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in rows])
    assert [line.is_dashed() for line in lines[:4]] == [False, False, True, True]
    assert lines[4].get_ydata() == [history[-1][f"val_{what}"]]
    text = all_text(figure)
    for name in ("training, from nothing", "validation, from nothing", "A note.", "Dashed"):
        assert name in text
    assert "nothing" not in all_text(draw(history))


def test_stability_without_the_frozen_layers():
    rows = make_layer_rows(3)
    some = stability([row for row in rows if row["layer"] in ("fc2", "fc3")], False, ["conv1"])
    assert_legible(some)
    assert "differ by a factor of 10; largest share of dead ReLUs 25.0 %, in fc2" in all_text(some)
    assert "Frozen, and so without a curve: conv1." in all_text(some)
    one = stability([row for row in rows if row["layer"] == "fc3"], False, ["fc2"])
    assert_legible(one)
    assert "only fc3 trains; final gradient norm 3.3e-08" in all_text(one)
    assert "no ReLU follows" in all_text(one)
