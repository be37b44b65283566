"""Logits, metrics, predictions and views of the evaluate stage."""

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
from tests.batch_norm import AlexNetBatchNorm

CPU = torch.device("cpu")


def test_logits_in_batches_equal_logits_at_once_and_training_can_continue(metadata, digits):
    """Logits and parameters are no inference tensors; modes and buffers stay, layer by layer."""
    torch.manual_seed(0)
    model = AlexNetBatchNorm()
    model.bn1.eval()
    modes = {name: layer.training for name, layer in model.named_modules()}
    images, labels = digits[0][:13], digits[1][:13]
    result = logits_of(model, metadata, images, CPU, batch_size=5)
    assert {name: layer.training for name, layer in model.named_modules()} == modes
    assert model.bn6.num_batches_tracked == 0

    head = torch.nn.Linear(10, 10)
    torch.nn.functional.cross_entropy(head(result), labels).backward()
    assert head.weight.grad is not None
    x = normalise(images, metadata.mean, metadata.std)
    torch.nn.functional.cross_entropy(model(x), labels).backward()
    assert all(value.requires_grad and value.grad is not None for value in model.parameters())
    with torch.no_grad():
        model.fc1.weight -= 0  # an inference tensor would not allow it

    model = AlexNetBatchNorm().eval()
    torch.testing.assert_close(
        logits_of(model, metadata, images, CPU, 5), model(x).detach(), rtol=1e-5, atol=1e-6
    )


def test_metrics_by_hand():
    logits = torch.tensor([[2.0, 0.0, -99.0], [0.0, 2.0, -99.0], [2.0, 0.0, -99.0]])
    labels, classes = torch.tensor([0, 1, 1]), ("cat", "dog", "absent")
    found, predictions = compute_metrics(logits, labels, classes, 10)
    confidence = 1 / (1 + np.exp(-2.0))
    assert found == {
        "n": 3,
        "accuracy": pytest.approx(2 / 3),
        "balanced_accuracy": 0.75,
        "loss": pytest.approx(-(2 * np.log(confidence) + np.log(1 - confidence)) / 3),
        "calibration_error": pytest.approx(confidence - 2 / 3),
        "per_class": {
            "cat": {"precision": 0.5, "recall": 1.0, "support": 1},
            "dog": {"precision": 1.0, "recall": 0.5, "support": 2},
            "absent": {"precision": 0.0, "recall": None, "support": 0},
        },
    }, "no top-5 accuracy of three classes, where it is always 1"
    assert predictions.predicted.tolist() == [0, 1, 0]
    assert predictions.confidence == pytest.approx([confidence] * 3)
    found, _ = compute_metrics(torch.eye(10), torch.arange(10), tuple("abcdefghij"), 10)
    assert found["top5_accuracy"] == 1.0


def test_predictions_round_trip(tmp_path):
    classes = ("a,b", 'say "x"', "ç", "=1+1", "'=1+1")
    labels = torch.arange(5)
    _, predictions = compute_metrics(torch.eye(5), labels, classes, num_bins=5)
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions, classes)
    again = read_predictions(path, classes)
    assert again.actual.tolist() == labels.tolist()
    assert again.predicted.tolist() == predictions.predicted.tolist()
    assert again.confidence == pytest.approx(predictions.confidence, abs=1e-6)
    with pytest.raises(
        UserError, match=r"is no class of the data set; run the stage evaluate again"
    ):
        read_predictions(path, ("a,b", "other", *classes[2:]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    logits = torch.tensor([[0.0, 1.0], [value, 0.0]])
    with pytest.raises(UserError, match="logits are not finite"):
        compute_metrics(logits, torch.tensor([0, 1]), ("a", "b"), num_bins=2)


@pytest.fixture
def images():
    """All pixels differ."""
    return torch.arange(2 * 8 * 8 * 3).view(2, 8, 8, 3).to(torch.uint8)


def test_mirrored_views(images):
    centre, mirrored = views_of(images, 5, "mirrored")
    assert centre.tolist() == images[:, 1:6, 1:6].tolist()
    assert mirrored.tolist() == images.numpy()[:, 1:6, 5:0:-1].tolist()
    assert torch.equal(next(views_of(images, 8, "mirrored")), images)


@pytest.mark.parametrize("size", [5, 8])
def test_shifted_views(size, images):
    padded = np.pad(images.numpy(), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    first = (8 - size) // 2
    expected = []
    for top, left in np.ndindex(3, 3):
        rows, columns = (slice(first + start, first + start + size) for start in (top, left))
        view = padded[:, rows, columns]
        expected += [view, view[:, :, ::-1]]
    found = [view.numpy() for view in views_of(images, size, "shifted")]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[8], next(views_of(images, size, "mirrored")))


def test_ten_crop_equals_torchvisions(images):
    """The same ten views, in any order."""
    from torchvision.transforms.v2.functional import ten_crop

    ours = {view.numpy().tobytes() for view in views_of(images, 6, "ten-crop")}
    theirs = ten_crop(images.permute(0, 3, 1, 2), [6, 6])
    assert ours == {view.permute(0, 2, 3, 1).contiguous().numpy().tobytes() for view in theirs}
    assert len(ours) == 10
    with pytest.raises(UserError, match=r"evaluate\.views: ten-crop needs .* than the 8 pixels"):
        list(views_of(images, 8, "ten-crop"))


def test_probabilities_of_the_views_are_averaged_and_not_logits():
    """One view is confident of class 1, two lean to class 0, which has the higher mean."""
    confident, leaning = [0.0, 8.0], [2.0, 0.0]
    probability = (1 / (1 + np.exp(8)) + 2 / (1 + np.exp(-2))) / 3
    assert probability > 0.5, "although the mean of the logits is higher for class 1"
    views = [torch.tensor([view, view]) for view in (confident, leaning, leaning)]
    assert accuracy_of_views(views, torch.tensor([0, 1])) == 0.5
    assert accuracy_of_views(views, torch.tensor([0, 0])) == 1.0
    assert accuracy_of_views(views[:1], torch.tensor([0, 0])) == 0.0
