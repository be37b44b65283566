"""The exported model's labels against those of other computations: evaluate's and PyTorch's."""

import json

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.export import graph
from alexnet.export.agreement import check_against_evaluation
from tests.artifacts import METADATA, export_model, predictions_of
from tests.conftest import CLASSES
from tests.runs import narrow

THREES = torch.full((20,), 3)


def evaluated(others, actual=3):
    """What evaluate gave 20 images: class 3, but for `others`, by image."""
    predicted = THREES.clone()
    for index, label in others.items():
        predicted[index] = label
    return predictions_of(torch.full((20,), actual), predicted)


@pytest.mark.slow
def test_labels_within_the_tolerance_may_differ_from_evaluates(tmp_path, digits, caplog):
    """As of a GPU, which rounds in another way; the manifest has the accuracy of the file."""
    model = narrow().eval()  # gives class 3 the highest logit, and class 5 one 5e-5 lower
    with torch.no_grad():
        model.fc3.weight.zero_()
        model.fc3.bias.copy_(torch.tensor([0, 0, 0, 1.0, 0, 1.0 - 5e-5, 0, 0, 0, 0]))

    def export(others):
        given = {"labels": THREES, "predictions": evaluated(others)}
        return export_model(folder, model, METADATA, digits[0][:20], given)

    folder = tmp_path / "artifacts"
    with pytest.raises(UserError, match="image 7: three in the exported model, two in evaluate"):
        export({4: 5, 7: 2})
    assert list(tmp_path.iterdir()) == []
    assert export({4: 5, 9: 5})["num_labels_differing_from_evaluate"] == 2
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["accuracy"] == manifest["precisions"]["fp32"]["accuracy"] == 1.0
    assert "2 of the images got another label" in (folder / "MODEL_CARD.md").read_text()
    line = "image 9: three in the exported model, five in evaluate; their logits are 5.0e-05 apart"
    assert line in caplog.text


def outputs(difference, num_images=20):
    """Of a model that gives class 3 the highest logit, by `difference` above all others'."""
    logits = np.zeros((num_images, len(CLASSES)), np.float32)
    logits[:, 3] = difference
    return {"logits": logits, "label": logits.argmax(axis=1)}


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (
            evaluated({7: 2}),
            r"gives 1 of 20 test images .* \(1e-04\):\n  image 7: three in the exported model, "
            r"two in evaluate; their logits are 2.0e-04 apart\nNothing was exported",
        ),
        (evaluated(dict.fromkeys(range(12), 2)), r"image 9: .*\n  and 2 more images\n"),
        (evaluated({}, actual=2), r"of 20 other images than the 20 test images; nothing was"),
    ],
)
def test_other_labels_than_evaluates_are_named(predictions, message):
    with pytest.raises(UserError, match=message):
        check_against_evaluation(outputs(2e-4), predictions, THREES.numpy(), CLASSES, 1e-4)


def test_nearly_equal_logits_may_be_of_either_class_in_pytorch(monkeypatch):
    monkeypatch.setattr(graph, "check_graph", lambda path: None)
    monkeypatch.setattr(graph, "run_onnx", lambda path, images, size: outputs(5e-5))
    logits = outputs(5e-5)["logits"]
    logits[2, 3] -= 3e-5
    logits[2, 5] += 3e-5

    def verify(max_difference):
        return graph.verify_against_pytorch("", np.zeros((20, 1)), logits, max_difference)

    assert verify(1e-4)[0]["num_labels_differing"] == 1
    with pytest.raises(UserError, match=r"1 of 20 labels, largest logit difference 3.00e-05"):
        verify(4e-5)
