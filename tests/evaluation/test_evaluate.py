"""Figures and predictions of the evaluate stage."""

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.evaluation.evaluate import (
    accuracy_of_views,
    compute_metrics,
    logits_of,
    read_predictions,
    views_of,
    write_predictions,
)
from alexnet.network.inputs import normalise
from alexnet.network.weights import build


def test_logits_in_batches_equal_logits_at_once(metadata, digits):
    model = build(metadata, dropout=0.5)
    images = digits[0][:13]
    with torch.inference_mode():
        expected = model.eval()(normalise(images, metadata.mean, metadata.std))
    result = logits_of(model.train(), metadata, images, torch.device("cpu"), batch_size=5)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


def test_figures_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    figures, predictions = compute_metrics(
        logits, torch.tensor([0, 1, 1]), ("cat", "dog"), num_bins=10
    )
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
    figures, _ = compute_metrics(torch.eye(10), torch.arange(10), tuple("abcdefghij"), num_bins=10)
    assert figures["top5_accuracy"] == 1.0


def test_predictions_round_trip(tmp_path):
    classes = ("a,b", 'say "x"', "ç")
    labels = torch.tensor([0, 1, 2, 2])
    _, predictions = compute_metrics(torch.randn(4, 3), labels, classes, num_bins=5)
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions, classes)
    again = read_predictions(path, classes)
    assert again.actual.tolist() == labels.tolist()
    assert again.predicted.tolist() == predictions.predicted.tolist()
    assert again.confidence == pytest.approx(predictions.confidence, abs=1e-6)
    with pytest.raises(UserError, match=r"does not fit the data set's classes .*evaluate again"):
        read_predictions(path, ("a,b", "other", "ç"))


# Several views of each image


@pytest.fixture
def uneven():
    """Images whose sides, rows and columns can all be told apart."""
    return torch.arange(2 * 8 * 8 * 3).view(2, 8, 8, 3).to(torch.uint8)


def test_mirrored_is_the_middle_and_its_mirror_image(uneven):
    views = list(views_of(uneven, 5, "mirrored"))
    middle = uneven.numpy()[:, 1:6, 1:6]
    assert [view.tolist() for view in views] == [middle.tolist(), middle[:, :, ::-1].tolist()]
    whole = list(views_of(uneven, 8, "mirrored"))
    assert torch.equal(whole[0], uneven)
    assert torch.equal(whole[1], uneven.flip(2))


def test_ten_crop_is_torchvisions(uneven):
    """The same ten, in whatever order."""
    from torchvision.transforms.v2.functional import ten_crop

    ours = {view.numpy().tobytes() for view in views_of(uneven, 6, "ten-crop")}
    theirs = ten_crop(uneven.permute(0, 3, 1, 2), [6, 6])
    assert ours == {view.permute(0, 2, 3, 1).contiguous().numpy().tobytes() for view in theirs}
    assert len(ours) == 10


def test_ten_crop_needs_room_for_corners(uneven):
    with pytest.raises(UserError, match=r"evaluate\.views: ten-crop needs .* than the 8 pixels"):
        list(views_of(uneven, 8, "ten-crop"))


def test_the_views_probabilities_are_averaged_not_their_logits():
    """One view is very sure of class 1, two lean to class 0: by hand, class 0 has it."""
    sure, leaning = [0.0, 8.0], [2.0, 0.0]
    probability = (1 / (1 + np.exp(8)) + 2 / (1 + np.exp(-2))) / 3
    assert probability > 0.5, "although the mean of the logits says class 1"
    views = [torch.tensor([view, view]) for view in (sure, leaning, leaning)]
    assert accuracy_of_views(views, torch.tensor([0, 1])) == 0.5
    assert accuracy_of_views(views, torch.tensor([0, 0])) == 1.0
    assert accuracy_of_views(views[:1], torch.tensor([0, 0])) == 0.0
